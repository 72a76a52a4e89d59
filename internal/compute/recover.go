package compute

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
	"golang.org/x/sync/errgroup"
)

// recover looks at all that is there before anything is changed. Bookings come
// first, so that no new instance is given what a running one uses. An instance
// that the store doesn't know, because an older snapshot had to be served, keeps
// running and gets its document back, marked: whether it stays is the user's to say.
func (c *Compute) recover(ctx context.Context) error {
	states, err := c.o.Driver.List(ctx)
	if err != nil {
		return err
	}
	for _, state := range states {
		if state.Damaged != "" {
			c.o.Logger.Warn("an instance's record is damaged", "instance", state.Name, "err", state.Damaged)
		}
		if state.Spec == nil {
			c.warnUnknown(ctx, state)
			continue
		}
		if err := c.readmit(ctx, state); err != nil {
			return err
		}
	}
	return nil
}

func (c *Compute) warnUnknown(ctx context.Context, state State) {
	_, err := c.o.Store.Get(ctx, resource.KindInstance, state.Name)
	if errors.Is(err, store.ErrNotFound) {
		c.o.Logger.Warn("something is left of an instance that is not known; it is let be",
			"instance", state.Name, "processes", state.Leftover)
	}
}

func (c *Compute) readmit(ctx context.Context, state State) error {
	_, err := c.o.Store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		if err := rebook(tx, state.Spec); err != nil {
			if !errors.Is(err, store.ErrConflict) {
				return err
			}
			// What doesn't run can have another port; what runs keeps working without the booking.
			c.o.Logger.Warn("an instance's port or user is booked by another", "instance", state.Name, "err", err)
		}
		_, err := tx.Get(resource.KindInstance, state.Name)
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		c.o.Logger.Warn("an instance is there that the store does not know; it is kept and listed again", "instance", state.Name)
		_, err = store.PutAs(tx, remade(state, c.now()))
		return err
	})
	return err
}

// remade is the document of an instance, made again from its record.
func remade(state State, now time.Time) resource.Instance {
	spec := state.Spec
	in := resource.Instance{Meta: resource.Meta{Kind: resource.KindInstance, Name: spec.Name}}
	in.Status = resource.InstanceStatus{
		Set: spec.Set, Colour: spec.Colour, Model: spec.Model, Version: spec.Model.Version,
		Placement: spec.Placement, Health: resource.HealthInitializing, Admission: resource.AdmissionOut,
		Goal: resource.GoalRun, Phase: resource.InstancePending, Restarts: spec.Restarts,
		Reimage: spec.Reimage, Reimaged: spec.Reimage, Restart: spec.Restart, Restarted: spec.Restart,
	}
	in.Status.Conditions = resource.SetCondition(nil, resource.Condition{
		Type: resource.ConditionRecovered, Status: true, Reason: "UnknownToStore", Since: now,
		Message: "found on this machine after the documents were restored from an older state; it is kept until `drover delete instance " + spec.Name + "`",
	})
	return in
}

const collectInterval = 10 * time.Minute

// collect drops what was cached for images that no set and no instance has any more.
func (c *Compute) collect(ctx context.Context) error {
	tick := time.NewTicker(collectInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		digests, err := c.digestsInUse(ctx)
		if err == nil {
			err = c.o.Driver.Collect(ctx, digests)
		}
		if err != nil && ctx.Err() == nil {
			c.o.Logger.Warn("dropping unused image layers", "err", err)
		}
	}
}

func (c *Compute) digestsInUse(ctx context.Context) ([]string, error) {
	used := map[string]bool{}
	instances, _, err := store.ListAs[resource.InstanceSpec, resource.InstanceStatus](ctx, c.o.Store, resource.KindInstance, store.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	for _, in := range instances {
		used[in.Status.Model.Digest] = true
	}
	sets, _, err := store.ListAs[resource.ScaleSetSpec, resource.ScaleSetStatus](ctx, c.o.Store, resource.KindScaleSet, store.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list scale sets: %w", err)
	}
	for _, set := range sets {
		if m := set.Status.Model; m != nil {
			used[m.Digest] = true
		}
		if p := set.Status.Previous; p != nil {
			used[p.Model.Digest] = true
		}
	}
	delete(used, "")
	return slices.Collect(maps.Keys(used)), nil
}

// StopAll stops every instance that the driver finds, with or without a server
// that knows them, and returns how many were running. Disks and documents stay;
// the next Compute starts them again.
func StopAll(ctx context.Context, d Driver) (stopped int, err error) {
	states, err := d.List(ctx)
	if err != nil {
		return 0, err
	}
	var count atomic.Int64
	errs := make([]error, len(states))
	g := errgroup.Group{}
	g.SetLimit(workers)
	for i, state := range states {
		timeout := time.Duration(resource.DefaultScaleSetSpec().StopTimeout)
		if state.Spec != nil {
			timeout = time.Duration(state.Spec.StopTimeout)
		}
		g.Go(func() error {
			if errs[i] = d.Stop(ctx, state.Name, timeout); errs[i] == nil && (state.Running || state.Leftover) {
				count.Add(1)
			}
			return nil
		})
	}
	_ = g.Wait()
	return int(count.Load()), errors.Join(errs...)
}
