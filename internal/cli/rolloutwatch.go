package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// rolloutView is what a watched rollout looks like at one moment.
type rolloutView struct {
	rollout   resource.Rollout
	instances map[string]resource.Instance
}

// progress shows a rollout while it runs.
type progress interface {
	show(rolloutView)
	// notices takes what else is to be said meanwhile.
	notices() io.Writer
	// stop takes away what is only of use while it moves.
	stop()
}

// watchRollout shows a rollout until it has ended, prints its report, and fails
// unless it ended as wanted. Ctrl-C only ends the watching.
func (c *cli) watchRollout(ctx context.Context, cl *client.Client, ro resource.Rollout, want resource.RolloutPhase) error {
	show := c.progress()
	ended, err := followRollout(ctx, cl, ro, show, interrupted(show.notices()))
	show.stop()
	if ctx.Err() != nil {
		return fmt.Errorf("stopped watching: the rollout goes on; `drover rollout status %s --watch` watches it again", ro.Name)
	}
	if err != nil {
		return fmt.Errorf("watch rollout %s: %w", ro.Name, err)
	}
	if err := c.printEnd(ended); err != nil {
		return err
	}
	if ended.Status.Phase != want {
		return fmt.Errorf("rollout %s ended %s", ro.Name, outcome(ended, time.Now()))
	}
	return nil
}

// progress shows nothing to programs, bars on a terminal, else lines.
func (c *cli) progress() progress {
	if c.format != formatTable {
		return noProgress{}
	}
	if width, ok := terminal(c.Stdout); ok {
		return newBars(c.Stdout, width)
	}
	return &plainProgress{w: c.Stdout, errors: c.Stderr}
}

// printEnd prints a rollout that has ended, as JSON on one line.
func (c *cli) printEnd(ro resource.Rollout) error {
	if c.format == formatJSON {
		return printLine(c.Stdout, ro)
	}
	return c.print(ro, func() error { return printRollout(c.Stdout, ro, time.Now()) })
}

var errRolloutDeleted = errors.New("it was deleted while it ran")

// followRollout feeds show with every change of the rollout and of its set's
// instances, and returns the rollout in its last phase.
func followRollout(ctx context.Context, cl *client.Client, ro resource.Rollout, show progress, interrupted func(error)) (resource.Rollout, error) {
	view := rolloutView{rollout: ro, instances: map[string]resource.Instance{}}
	list, err := cl.List(ctx, resource.KindInstance, client.Filter{Set: ro.Spec.Set})
	if err != nil {
		return ro, err
	}
	for _, d := range list.Items {
		if err := view.take(client.Change{Document: d}); err != nil {
			return ro, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	news := make(chan news)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer cancel()
	watchers.Go(func() {
		relay(ctx, cl, news, client.WatchOptions{
			Kind: resource.KindRollout, Filter: client.Filter{Set: ro.Spec.Set, Name: ro.Name},
			From: client.List{Revision: ro.Revision}, Interrupted: interrupted,
		})
	})
	watchers.Go(func() {
		// One complaint about a lost server is enough: the other watch makes it.
		relay(ctx, cl, news, client.WatchOptions{Kind: resource.KindInstance, Filter: client.Filter{Set: ro.Spec.Set}, From: list})
	})
	return view.follow(ctx, news, show)
}

// news is a change, or the end of a watch.
type news struct {
	change client.Change
	err    error
}

// relay passes a watch on until ctx ends.
func relay(ctx context.Context, cl *client.Client, out chan<- news, o client.WatchOptions) {
	for change, err := range cl.Watch(ctx, o) {
		select {
		case out <- news{change, err}:
		case <-ctx.Done():
			return
		}
	}
}

// settle is how long changes are gathered before they are shown. Several
// documents that the server wrote at once arrive one by one: a moment in between,
// with nothing in service, never was.
const settle = 100 * time.Millisecond

func (v *rolloutView) follow(ctx context.Context, in <-chan news, show progress) (resource.Rollout, error) {
	show.show(*v)
	var settled <-chan time.Time
	if v.rollout.Status.Phase.Terminal() {
		settled = time.After(settle)
	}
	for {
		select {
		case n := <-in:
			if n.err != nil {
				return v.rollout, n.err
			}
			if err := v.take(n.change); err != nil {
				return v.rollout, err
			}
			if settled == nil {
				settled = time.After(settle)
			}
		case <-settled:
			settled = nil
			show.show(*v)
			if v.rollout.Status.Phase.Terminal() {
				return v.rollout, nil
			}
		case <-ctx.Done():
			return v.rollout, context.Cause(ctx)
		}
	}
}

// take applies a change to the view.
func (v *rolloutView) take(ch client.Change) error {
	switch {
	case ch.Document.Kind == resource.KindRollout && ch.Deleted:
		return errRolloutDeleted
	case ch.Document.Kind == resource.KindRollout:
		ro, err := resource.From[resource.RolloutSpec, resource.RolloutStatus](ch.Document)
		v.rollout = ro
		return err
	case ch.Deleted:
		delete(v.instances, ch.Document.Name)
		return nil
	}
	i, err := resource.From[resource.InstanceSpec, resource.InstanceStatus](ch.Document)
	v.instances[i.Name] = i
	return err
}
