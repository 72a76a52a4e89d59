package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/droverhq/drover/internal/reconcile"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// Options of a Fleet; all are required but Logger.
type Options struct {
	Store   *store.Store
	Traffic Traffic
	Logger  *slog.Logger
}

// Fleet runs the scale sets and their rollouts.
type Fleet struct {
	store   *store.Store
	traffic Traffic
	log     *slog.Logger
	loop    *reconcile.Loop
}

// New makes a Fleet that does nothing until Run.
func New(o Options) *Fleet {
	f := &Fleet{store: o.Store, traffic: o.Traffic, log: o.Logger}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.loop = &reconcile.Loop{
		Name: "fleet", Store: o.Store, Logger: f.log, Workers: 4,
		Kinds: []string{resource.KindScaleSet, resource.KindInstance, resource.KindRollout, resource.KindImageVersion, resource.KindLoadBalancer},
		Keys:  f.keys, List: f.sets, Reconcile: f.reconcile,
		MaxBackoff: 5 * time.Second,
	}
	return f
}

// Run blocks until ctx ends.
func (f *Fleet) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.wakeMoving(ctx)
	}()
	err := f.loop.Run(ctx)
	cancel()
	<-done
	return err
}

// wakeMoving looks again at the sets that wait for the gateways when one reports.
func (f *Fleet) wakeMoving(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.traffic.Changed():
		}
		list, err := f.store.List(ctx, resource.KindScaleSet, store.ListOptions{})
		if err != nil {
			continue // the next report or resync looks again
		}
		for _, d := range list.Items {
			set, err := resource.From[resource.ScaleSetSpec, resource.ScaleSetStatus](d)
			if err == nil && (set.Status.Rollout != "" || set.Status.Deleting != nil || set.Status.Told()) {
				f.loop.Wake(d.Name)
			}
		}
	}
}

func (f *Fleet) keys(ctx context.Context, c store.Change) []string {
	switch c.Document.Kind {
	case resource.KindScaleSet:
		return []string{c.Document.Name}
	case resource.KindImageVersion, resource.KindLoadBalancer:
		sets, err := f.sets(ctx)
		if err != nil {
			f.log.Warn("list scale sets", "err", err)
		}
		return sets
	}
	if owner := resource.OwnerOf(c.Document); owner != "" {
		return []string{owner}
	}
	return nil
}

func (f *Fleet) sets(ctx context.Context) ([]string, error) {
	list, err := f.store.List(ctx, resource.KindScaleSet, store.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list scale sets: %w", err)
	}
	names := make([]string, len(list.Items))
	for i, d := range list.Items {
		names[i] = d.Name
	}
	return names, nil
}

// conflictWait keeps a conflict that lasts from spinning.
const conflictWait = 20 * time.Millisecond

// reconcile decides once and writes the plan. A conflict means that somebody wrote
// the set or the rollout meanwhile, and the loop comes again for that change.
func (f *Fleet) reconcile(ctx context.Context, name string) (time.Duration, error) {
	view, err := f.observe(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("observe scale set %s: %w", name, err)
	}
	plan := Decide(view)
	err = f.write(ctx, view, plan)
	if errors.Is(err, store.ErrConflict) {
		return conflictWait, nil
	}
	if err != nil {
		return 0, fmt.Errorf("write the next step of scale set %s: %w", name, err)
	}
	return plan.Again, nil
}
