package app

import (
	"context"
	"errors"
	"fmt"
)

// stack unwinds what was started, the last first. Each cleanup is pushed the
// moment its thing exists, so that a start that fails half way leaves nothing.
type stack struct {
	cleanups []cleanup
}

type cleanup struct {
	name string
	run  func(context.Context) error
}

func (s *stack) push(name string, run func(context.Context) error) {
	s.cleanups = append(s.cleanups, cleanup{name, run})
}

func (s *stack) unwind(ctx context.Context) error {
	var errs []error
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		c := s.cleanups[i]
		if err := c.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", c.name, err))
		}
	}
	s.cleanups = nil
	return errors.Join(errs...)
}

// group runs components that only end when they are told to. The first that
// returns otherwise is the group's failure.
type group struct {
	failed chan error // buffered: the first failure
}

func newGroup() *group { return &group{failed: make(chan error, 1)} }

// start runs a component and returns what stops it and waits for it.
func (g *group) start(name string, run func(context.Context) error) func(context.Context) error {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { // who stops it waits for it
		err := run(ctx)
		if ctx.Err() == nil {
			g.fail(name, err)
			err = nil
		}
		done <- err
	}()
	return func(limit context.Context) error {
		cancel()
		select {
		case err := <-done:
			done <- nil // for who stops it again
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-limit.Done():
			return fmt.Errorf("%s did not end in time", name)
		}
	}
}

func (g *group) fail(name string, err error) {
	if err == nil {
		err = errors.New("ended unexpectedly")
	}
	select {
	case g.failed <- fmt.Errorf("%s: %w", name, err):
	default:
	}
}
