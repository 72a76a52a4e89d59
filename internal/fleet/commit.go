package fleet

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// write writes a plan in one transaction: all of it or nothing. The set and the
// rollout must still be as they were seen; instances are changed in place, since
// compute writes other fields of them at any time. The set is first: its weights must
// be known to whoever sees that an instance has come into service.
func (f *Fleet) write(ctx context.Context, v View, plan Plan) error {
	if !plan.changes(v) {
		return nil
	}
	_, err := f.store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		if plan.Delete {
			return deleteSet(tx, plan.Set)
		}
		set, err := store.PutAs(tx, plan.Set, store.IfRevision(v.Set.Revision))
		if err != nil {
			return fmt.Errorf("scale set %s: %w", plan.Set.Name, err)
		}
		revision, err := writeInstances(tx, v, plan)
		if err != nil {
			return err
		}
		return writeRollout(tx, v, plan, max(set.Revision, revision))
	})
	if err == nil {
		f.report(v, plan)
	}
	return err
}

func (p Plan) changes(v View) bool {
	if p.Delete || p.Shifted || len(p.Create)+len(p.Change) > 0 || !same(v.Set, p.Set) {
		return true
	}
	return p.Rollout != nil && (v.Rollout == nil || !same(*v.Rollout, *p.Rollout))
}

// same compares as the store would.
func same[S, T any](a, b resource.Object[S, T]) bool {
	x, err1 := a.Document()
	y, err2 := b.Document()
	return err1 == nil && err2 == nil && string(x.Spec) == string(y.Spec) && string(x.Status) == string(y.Status)
}

// writeInstances returns the highest revision that it wrote.
func writeInstances(tx *store.Tx, v View, plan Plan) (revision int64, err error) {
	seen := v.statuses()
	for _, in := range plan.Create {
		made, err := store.PutAs(tx, in, store.IfRevision(0))
		if errors.Is(err, store.ErrConflict) {
			return 0, fmt.Errorf("create instance %s: a document of that name exists", in.Name) // to come again helps nobody
		}
		if err != nil {
			return 0, fmt.Errorf("create instance %s: %w", in.Name, err)
		}
		revision = max(revision, made.Revision)
	}
	for _, in := range plan.Change {
		err := store.Edit(tx, resource.KindInstance, in.Name, func(o *resource.Instance) error {
			if !sameWish(&o.Status, seen[in.Name]) {
				return store.ErrConflict // somebody asked for something meanwhile
			}
			wish(&o.Status, &in.Status)
			return nil
		})
		if errors.Is(err, store.ErrNotFound) {
			continue // it is gone, which is further than was asked
		}
		if err != nil {
			return 0, fmt.Errorf("change instance %s: %w", in.Name, err)
		}
		d, err := tx.Get(resource.KindInstance, in.Name)
		if err != nil {
			return 0, fmt.Errorf("read instance %s back: %w", in.Name, err)
		}
		revision = max(revision, d.Revision)
	}
	return revision, nil
}

// wish copies the fields that are fleet's to change.
func wish(to, s *resource.InstanceStatus) {
	to.Admission, to.DrainingSince, to.Served = s.Admission, s.DrainingSince, s.Served
	to.Goal, to.Discard = s.Goal, s.Discard
	to.Notice, to.Operation = s.Notice, s.Operation
	to.Reimage, to.Restart = s.Reimage, s.Restart
	to.Validate, to.Validated = s.Validate, s.Validated
}

// sameWish says whether all that is fleet's is the same.
func sameWish(a, b *resource.InstanceStatus) bool {
	var x, y resource.InstanceStatus
	wish(&x, a)
	wish(&y, b)
	return reflect.DeepEqual(x, y)
}

// writeRollout checks the transition. A move of traffic gets the revision that the
// gateways must confirm.
func writeRollout(tx *store.Tx, v View, plan Plan, revision int64) error {
	r := plan.Rollout
	if r == nil {
		return nil
	}
	expected := int64(0)
	if v.Rollout != nil {
		if err := resource.CheckTransition(v.Rollout.Status.Phase, r.Status.Phase); err != nil {
			return err
		}
		expected = v.Rollout.Revision
	}
	if plan.Shifted {
		shift := *r.Status.Shifted
		shift.Revision = revision
		r.Status.Shifted = &shift
	}
	if _, err := store.PutAs(tx, *r, store.IfRevision(expected)); err != nil {
		return fmt.Errorf("rollout %s: %w", r.Name, err)
	}
	return trimHistory(tx, r.Spec.Set)
}

// deleteSet removes the set and its history once nothing is left of its instances.
func deleteSet(tx *store.Tx, set resource.ScaleSet) error {
	list, err := tx.List(resource.KindRollout, store.ListOptions{Owner: set.Name})
	if err != nil {
		return fmt.Errorf("list rollouts: %w", err)
	}
	for _, d := range list.Items {
		if err := tx.Delete(d.Kind, d.Name); err != nil {
			return fmt.Errorf("delete rollout %s: %w", d.Name, err)
		}
	}
	return tx.Delete(resource.KindScaleSet, set.Name, store.IfRevision(set.Revision))
}

// maxHistory is how many rollouts of a set are kept; the eldest go first.
const maxHistory = 50

func trimHistory(tx *store.Tx, set string) error {
	list, err := tx.List(resource.KindRollout, store.ListOptions{Owner: set})
	if err != nil {
		return fmt.Errorf("list rollouts: %w", err)
	}
	if len(list.Items) <= maxHistory {
		return nil
	}
	eldest := list.Items[0]
	for _, d := range list.Items {
		if rolloutNumber(d.Name) < rolloutNumber(eldest.Name) {
			eldest = d
		}
	}
	if err := tx.Delete(eldest.Kind, eldest.Name); err != nil {
		return fmt.Errorf("delete rollout %s: %w", eldest.Name, err)
	}
	return nil
}

// report logs what a step did, once it is written.
func (f *Fleet) report(v View, plan Plan) {
	f.reportOperations(v, plan)
	r := plan.Rollout
	if r == nil || v.Rollout != nil && v.Rollout.Status.Phase == r.Status.Phase && v.Rollout.Status.Step == r.Status.Step {
		return
	}
	f.log.Info("rollout", "set", r.Spec.Set, "rollout", r.Name, "phase", r.Status.Phase,
		"step", r.Status.Step, "reason", r.Status.Reason)
}

func (f *Fleet) reportOperations(v View, plan Plan) {
	seen := v.statuses()
	for _, in := range plan.Change {
		before, now := seen[in.Name].Operation, in.Status.Operation
		switch {
		case before == nil:
		case now == nil:
			f.log.Info("operation is over", "instance", in.Name, "action", before.Action, "by", before.By,
				"health", in.Status.Health, "admission", in.Status.Admission)
		case now.Released != nil && before.Released == nil:
			f.log.Info("operation begins", "instance", in.Name, "action", now.Action, "by", now.By)
		}
	}
}
