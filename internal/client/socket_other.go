//go:build !linux

package client

import (
	"context"
	"fmt"
	"net"
)

func dialLongSocket(_ context.Context, path string) (net.Conn, error) {
	return nil, fmt.Errorf("%w: %d bytes", errSocketPath, len(path))
}
