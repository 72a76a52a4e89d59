package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// A lost connection is tried again after firstWait, then ever more rarely, at least every maxWait.
const (
	firstWait = 50 * time.Millisecond
	maxWait   = 2 * time.Second
)

// persist keeps a stream going over restarts of the server: it tries again until
// the stream is done, the server refuses, or nothing was heard of it for too long.
func (c *Client) persist(ctx context.Context, interrupted func(error), try func() error, lastHeard func() time.Time) error {
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		before := lastHeard()
		err := try()
		if lastHeard().After(before) {
			wait = firstWait
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == errListed:
		case !worthRetry(err):
			return err
		case time.Since(lastHeard()) > c.patience:
			return fmt.Errorf("given up after %s without the server: %w", c.patience, err)
		case interrupted != nil:
			interrupted(err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// worthRetry says that the server may be coming back; what it refuses it will refuse again.
func worthRetry(err error) bool {
	e, ok := errors.AsType[*resource.Error](err)
	if !ok {
		return false
	}
	switch e.Code {
	case resource.CodeUnavailable, resource.CodeInternal, resource.CodeTooManyRequests:
		return true
	}
	return false
}
