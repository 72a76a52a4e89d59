package compute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// Pools of numbers that are booked in the store, by instance.
const (
	poolPort = "port"
	poolUID  = "uid"
)

// act makes one decision true. Whatever fails before it is done is decided anew
// from what is there then.
func (c *Compute) act(ctx context.Context, a action, in resource.Instance, set resource.ScaleSetSpec, state State) error {
	switch a {
	case actStart:
		return c.start(ctx, in, set)
	case actStop:
		return c.o.Driver.Stop(ctx, in.Name, time.Duration(set.StopTimeout))
	case actEnd:
		return c.o.Driver.Stop(ctx, in.Name, 0)
	case actDelete:
		return c.remove(ctx, in, set, state)
	}
	return nil
}

// start books what the instance needs and starts it. That it can't be started is
// no error here but a fact, reported on the document.
func (c *Compute) start(ctx context.Context, in resource.Instance, set resource.ScaleSetSpec) error {
	select {
	case c.starts <- struct{}{}:
		defer func() { <-c.starts }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if still, err := c.stillWanted(ctx, in); err != nil || !still {
		return err
	}
	spec := Spec{
		Name: in.Name, Set: in.Status.Set, Colour: in.Status.Colour, Model: in.Status.Model,
		Placement: in.Status.Placement, StopTimeout: set.StopTimeout,
		Restarts: in.Status.Restarts, Reimage: in.Status.Reimage, Restart: in.Status.Restart,
	}
	err := c.book(ctx, &spec)
	if err == nil {
		var state State
		if state, err = c.o.Driver.Start(ctx, spec); err == nil {
			return errors.Join(c.keep(ctx, spec, state), c.reportDropped(ctx, spec.Model, state.Dropped))
		}
	}
	why, ok := errors.AsType[*StartError](err)
	if !ok {
		return err
	}
	c.o.Logger.Warn("an instance could not be started", "instance", in.Name, "reason", why.Reason, "err", err)
	return c.reportFailure(ctx, in.Name, why)
}

// stillWanted reports whether an instance that waited for its turn to start is to
// be started as it was then: what was scaled in meanwhile never is.
func (c *Compute) stillWanted(ctx context.Context, in resource.Instance) (bool, error) {
	now, _, err := c.read(ctx, in.Name)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return now.Status.Goal == in.Status.Goal && now.Status.Reimage == in.Status.Reimage && now.Status.Restart == in.Status.Restart &&
		now.Status.Model.Key() == in.Status.Model.Key(), err
}

// reportFailure also takes up the start that a launcher recorded before it
// failed, so that its end isn't seen as another one.
func (c *Compute) reportFailure(ctx context.Context, name string, why *StartError) error {
	state, err := c.o.Driver.Inspect(ctx, name)
	if err != nil {
		return err
	}
	_, err = c.o.Store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindInstance, name, func(in *resource.Instance) error {
			if state.Failure != nil {
				in.Status.StartedAt = &state.StartedAt
			}
			notStarted(&in.Status, why, c.now())
			return nil
		})
	})
	return err
}

// book books the instance's port and user: the ones it has, unless somebody else
// listens on the port.
func (c *Compute) book(ctx context.Context, spec *Spec) error {
	owned := map[int]string{}
	if c.root {
		var err error
		if owned, err = c.o.Driver.TakenUIDs(); err != nil {
			return &StartError{Reason: ReasonNoUser, Err: err}
		}
	}
	busy := map[int]bool{}
	for {
		// Essential: an instance that crashed on a full disk must come back.
		_, err := c.o.Store.Update(store.Essential(ctx), func(tx *store.Tx) (err error) {
			if spec.Port, err = tx.Book(poolPort, spec.Name, c.o.Ports.First, c.o.Ports.Last, func(n int) bool { return busy[n] }); err != nil {
				return &StartError{Reason: ReasonNoPort, Err: fmt.Errorf("book a port of --port-range: %w", err)}
			}
			if !c.root {
				return nil
			}
			foreign := func(n int) bool { return owned[n] != "" && owned[n] != spec.Name }
			if spec.UID, err = tx.Book(poolUID, spec.Name, c.o.UIDs.First, c.o.UIDs.Last, foreign); err != nil {
				return &StartError{Reason: ReasonNoUser, Err: fmt.Errorf("book a user id of --uid-range, where data that is retired keeps its own: %w", err)}
			}
			return nil
		})
		if errors.Is(err, store.ErrNoSpace) {
			return &StartError{Reason: ReasonNoSpace, Err: err}
		}
		if err != nil {
			return err
		}
		used, err := c.o.Driver.PortInUse(spec.Port)
		if err != nil || !used {
			return err
		}
		busy[spec.Port] = true
	}
}

// keep books what runs, where that isn't what was booked: a launcher that an
// earlier Drover had sent was first.
func (c *Compute) keep(ctx context.Context, spec Spec, state State) error {
	if state.Spec == nil || state.Spec.Port == spec.Port && state.Spec.UID == spec.UID {
		return nil
	}
	return c.rebook(ctx, state.Spec)
}

// reportDropped puts what unpacking left out on the record of the image's versions.
func (c *Compute) reportDropped(ctx context.Context, m resource.Model, dropped resource.Dropped) error {
	ref, err := resource.ParseImageRef(m.Image)
	if err != nil || dropped == (resource.Dropped{}) {
		return nil
	}
	versions, _, err := store.ListAs[resource.ImageVersionSpec, resource.ImageVersionStatus](
		ctx, c.o.Store, resource.KindImageVersion, store.ListOptions{Owner: ref.Name})
	if err != nil {
		return fmt.Errorf("list the versions of %s: %w", ref.Name, err)
	}
	for _, v := range versions {
		if v.Status.Digest != m.Digest || v.Status.Dropped != nil {
			continue
		}
		_, err := c.o.Store.Update(store.Essential(ctx), func(tx *store.Tx) error {
			return store.Edit(tx, resource.KindImageVersion, v.Name, func(v *resource.ImageVersion) error {
				v.Status.Dropped = &dropped
				return nil
			})
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("report what was dropped from %s: %w", v.Name, err)
		}
	}
	return nil
}

// BookPort keeps a port from instances, for something of Drover's own. Its holder's
// name is none that an instance can have.
func BookPort(tx *store.Tx, holder string, port int) error {
	return tx.BookExact(poolPort, holder, port)
}

// BookedPorts says who holds which port.
func BookedPorts(tx *store.Tx) (map[int]string, error) { return tx.Booked(poolPort) }

func (c *Compute) rebook(ctx context.Context, spec *Spec) error {
	_, err := c.o.Store.Update(store.Essential(ctx), func(tx *store.Tx) error { return rebook(tx, spec) })
	return err
}

func rebook(tx *store.Tx, spec *Spec) error {
	if err := tx.BookExact(poolPort, spec.Name, spec.Port); err != nil {
		return fmt.Errorf("book the port of %s: %w", spec.Name, err)
	}
	if spec.UID == 0 {
		return nil
	}
	if err := tx.BookExact(poolUID, spec.Name, spec.UID); err != nil {
		return fmt.Errorf("book the user id of %s: %w", spec.Name, err)
	}
	return nil
}

// remove stops the instance with its time-out, removes its disks, and only then
// what the store knows of it: a port or user id is free when nothing uses it.
func (c *Compute) remove(ctx context.Context, in resource.Instance, set resource.ScaleSetSpec, state State) error {
	if state.Running {
		if err := c.o.Driver.Stop(ctx, in.Name, time.Duration(set.StopTimeout)); err != nil {
			return err
		}
	}
	retain := time.Duration(set.DataRetention)
	if in.Status.Discard {
		retain = 0
	}
	if err := c.o.Driver.Delete(ctx, in.Name, retain); err != nil {
		return err
	}
	if in.Status.Discard {
		// Before the document: who sees the set gone finds nothing left of its data.
		if err := c.o.Driver.Discard(ctx, in.Status.Set); err != nil {
			return err
		}
	}
	_, err := c.o.Store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		if err := errors.Join(tx.Unbook(poolPort, in.Name), tx.Unbook(poolUID, in.Name)); err != nil {
			return err
		}
		return tx.Delete(resource.KindInstance, in.Name)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// same compares what would be stored.
func same(a, b resource.InstanceStatus) bool {
	ja, err1 := json.Marshal(a)
	jb, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(ja) == string(jb)
}
