package process

import (
	"context"
	"time"
)

// awaitExit blocks until the process has ended or ctx has.
func awaitExit(ctx context.Context, id identity) error {
	return pollExit(ctx, id, 100*time.Millisecond)
}
