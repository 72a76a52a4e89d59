package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// WriteOptions of a scale set's write.
type WriteOptions struct {
	Force bool
}

// Write puts a scale set, and the rollout that its change of model starts, into tx.
func Write(tx *store.Tx, set resource.ScaleSet, o WriteOptions) (Verdict, error) {
	old, err := stored(tx, set.Name)
	if err != nil {
		return Verdict{}, err
	}
	return write(tx, Wish{Old: old, New: set, Force: o.Force, Now: tx.Now()})
}

func stored(tx *store.Tx, name string) (*resource.ScaleSet, error) {
	old, err := store.GetAs[resource.ScaleSetSpec, resource.ScaleSetStatus](context.Background(), tx.Reader(), resource.KindScaleSet, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read scale set %s: %w", name, err)
	}
	return &old, nil
}

func write(tx *store.Tx, w Wish) (Verdict, error) {
	var err error
	if w.Versions, err = versionsOf(context.Background(), tx.Reader(), w.New.Spec.Image); err != nil {
		return Verdict{}, err
	}
	v, err := Judge(w)
	if err != nil {
		return v, err
	}
	if v.Rollout != nil {
		if v.Warnings, err = leftBehind(tx, v.Set); err != nil {
			return v, err
		}
		v.Rollout.Status.Warnings = v.Warnings
		made, err := store.PutAs(tx, *v.Rollout, store.IfRevision(0))
		if err != nil {
			return v, fmt.Errorf("write rollout %s: %w", v.Rollout.Name, err)
		}
		v.Rollout = &made
	}
	if v.Set, err = store.PutAs(tx, v.Set); err != nil {
		return v, fmt.Errorf("write scale set %s: %w", w.New.Name, err)
	}
	return v, nil
}

// leftBehind warns when a new colour would not have what is in the data folders.
func leftBehind(tx *store.Tx, set resource.ScaleSet) ([]string, error) {
	instances, _, err := store.ListAs[resource.InstanceSpec, resource.InstanceStatus](
		context.Background(), tx.Reader(), resource.KindInstance, store.ListOptions{Owner: set.Name})
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	n := 0
	for _, in := range instances {
		if in.Status.HasData && in.Status.Colour == set.Status.Colour && in.Status.Goal == resource.GoalRun {
			n++
		}
	}
	if n == 0 {
		return nil, nil
	}
	kept := "are then removed at once (dataRetention: 0s)"
	if r := set.Spec.DataRetention; r > 0 {
		kept = fmt.Sprintf("are then kept for %s below retired/ in the data folder", r)
	}
	return []string{fmt.Sprintf("%d instances have files in their data folders; blue/green starts new instances with empty ones, and those files %s", n, kept)}, nil
}

// StartRequest asks for a rollout of a set. Without Image the stored spec is meant.
type StartRequest struct {
	Set      string
	Image    string
	Strategy resource.UpgradeMode
	Force    bool
}

// Start writes spec.image and the rollout in one transaction. The verdict has no
// rollout when the set runs that model already.
func (f *Fleet) Start(ctx context.Context, r StartRequest) (Verdict, error) {
	if r.Strategy != "" && r.Strategy != resource.ModeBlueGreen {
		return Verdict{}, &resource.Error{Code: resource.CodeUnsupported, Detail: "cannot start the rollout", Fields: []resource.FieldError{
			{Pointer: "/strategy", Detail: fmt.Sprintf("%s is not yet supported; BlueGreen is", r.Strategy)}}}
	}
	var v Verdict
	_, err := f.store.Update(ctx, func(tx *store.Tx) error {
		old, err := stored(tx, r.Set)
		if err != nil {
			return err
		}
		if old == nil {
			return noSet(r.Set)
		}
		set := *old
		if r.Image != "" {
			set.Spec.Image = r.Image
		}
		v, err = write(tx, Wish{Old: old, New: set, Force: r.Force, Start: true, Now: tx.Now()})
		return err
	})
	return v, err
}

func noSet(name string) error {
	return resource.Errorf(resource.CodeNotFound, "scale set %s does not exist", name)
}

// Scale writes a set's capacity; it applies to every colour that exists.
func (f *Fleet) Scale(ctx context.Context, name string, capacity int) (resource.ScaleSet, error) {
	if set, err := store.GetAs[resource.ScaleSetSpec, resource.ScaleSetStatus](ctx, f.store, resource.KindScaleSet, name); err == nil && capacity < set.Spec.Capacity {
		ctx = store.Essential(ctx) // what makes room is done also when there is none
	}
	var v Verdict
	_, err := f.store.Update(ctx, func(tx *store.Tx) error {
		old, err := stored(tx, name)
		if err != nil {
			return err
		}
		if old == nil {
			return noSet(name)
		}
		set := *old
		set.Spec.Capacity = capacity
		d, err := set.Document()
		if err != nil {
			return err
		}
		if err := resource.Validate(d); err != nil {
			return err
		}
		v, err = write(tx, Wish{Old: old, New: set, Now: tx.Now()})
		return err
	})
	return v.Set, err
}

// Delete marks a set; its rollout is cancelled, its instances are drained and
// deleted with their data, and then the document goes. A revision other than 0 is
// the one that the set must still have.
func Delete(tx *store.Tx, name string, revision int64) error {
	err := store.Edit(tx, resource.KindScaleSet, name, func(set *resource.ScaleSet) error {
		if revision != 0 && set.Revision != revision {
			return fmt.Errorf("scale set %s: %w", name, store.ErrConflict)
		}
		if set.Status.Deleting == nil {
			set.Status.Deleting = &resource.Deleting{Since: tx.Now()}
		}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return noSet(name)
	}
	return err
}

// Ask passes a pause, resume or cancel on to a running rollout.
func (f *Fleet) Ask(ctx context.Context, name string, ask resource.Ask) (resource.Rollout, error) {
	var out resource.Rollout
	_, err := f.store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		r, err := rolloutNamed(tx, name)
		if err != nil {
			return err
		}
		if err := mayAsk(r, ask.Action); err != nil {
			return err
		}
		ask.At = tx.Now()
		r.Status.Ask = &ask
		out, err = store.PutAs(tx, r)
		return err
	})
	return out, err
}

func rolloutNamed(tx *store.Tx, name string) (resource.Rollout, error) {
	r, err := store.GetAs[resource.RolloutSpec, resource.RolloutStatus](context.Background(), tx.Reader(), resource.KindRollout, name)
	if errors.Is(err, store.ErrNotFound) {
		return r, resource.Errorf(resource.CodeNotFound, "rollout %s does not exist", name)
	}
	return r, err
}

// Rollback turns a running rollout round, or goes back from the set's last
// Succeeded one with a new rollout.
func (f *Fleet) Rollback(ctx context.Context, name, by string) (r resource.Rollout, made bool, err error) {
	_, err = f.store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		old, err := rolloutNamed(tx, name)
		if err != nil {
			return err
		}
		if !old.Status.Phase.Terminal() {
			if err := mayAsk(old, askRollback); err != nil {
				return err
			}
			old.Status.Ask = &resource.Ask{Action: askRollback, By: by, At: tx.Now()}
			r, err = store.PutAs(tx, old)
			return err
		}
		made = true
		r, err = goBackFrom(tx, old)
		return err
	})
	return r, made, err
}

// goBackFrom starts the rollout that takes a set back to what it ran before.
func goBackFrom(tx *store.Tx, old resource.Rollout) (resource.Rollout, error) {
	set, err := stored(tx, old.Spec.Set)
	if err != nil {
		return old, err
	}
	if set == nil {
		return old, noSet(old.Spec.Set)
	}
	if err := mayGoBack(*set, old); err != nil {
		return old, err
	}
	r := newRollback(set, old, tx.Now())
	if _, err := store.PutAs(tx, *set); err != nil {
		return old, fmt.Errorf("write scale set %s: %w", set.Name, err)
	}
	return store.PutAs(tx, r, store.IfRevision(0))
}

// mayGoBack says why a set cannot go back from an ended rollout, or nil.
func mayGoBack(set resource.ScaleSet, old resource.Rollout) error {
	refuse := func(why string) error {
		return resource.Errorf(resource.CodeNotRollbackable, "cannot roll back %s: %s", old.Name, why)
	}
	switch {
	case set.Status.Deleting != nil:
		return refuse("the scale set is being deleted")
	case set.Status.Rollout != "":
		return resource.Errorf(resource.CodeRolloutInProgress, "rollout %s of scale set %s is running", set.Status.Rollout, set.Name)
	case old.Status.Phase != resource.RolloutSucceeded:
		return refuse("it ended " + string(old.Status.Phase))
	case old.Spec.RollbackOf != "":
		return refuse("it is a rollback itself; start a rollout to the version that you want")
	case set.Status.LastRollout != old.Name:
		return refuse("it is not the set's last successful rollout")
	case set.Status.Model == nil || set.Status.Model.Key() != old.Status.ToModel.Key():
		return refuse("the set does not run what it brought")
	}
	return nil
}

// rolloutNumber is the n of <set>-<n>; 0 if there is none.
func rolloutNumber(name string) int {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil {
		return 0
	}
	return n
}
