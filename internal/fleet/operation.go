package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// Operate asks for one instance to be restarted, reimaged or deleted. What was asked
// already and is not over is not asked again.
func (f *Fleet) Operate(ctx context.Context, name string, action resource.Action, by string) (resource.Instance, error) {
	if action == resource.ActionDelete {
		ctx = store.Essential(ctx) // what makes room is done also when there is none
	}
	var out resource.Instance
	_, err := f.store.Update(ctx, func(tx *store.Tx) error {
		o, err := readOrder(tx, name)
		if err != nil {
			return err
		}
		o.action, o.by, o.now = action, by, tx.Now()
		smaller, err := o.carryOut()
		if err == nil && smaller != nil {
			_, err = write(tx, Wish{Old: o.set, New: *smaller, Now: o.now})
		}
		if err != nil {
			return err
		}
		out, err = store.PutAs(tx, o.Instance)
		return err
	})
	return out, err
}

// order is an action asked of an instance, with what decides whether it may be.
type order struct {
	member
	set    *resource.ScaleSet // nil: it is gone
	others []member           // of its set
	action resource.Action
	by     string
	now    time.Time
}

func readOrder(tx *store.Tx, name string) (o order, err error) {
	ctx := context.Background()
	o.Instance, err = store.GetAs[resource.InstanceSpec, resource.InstanceStatus](ctx, tx.Reader(), resource.KindInstance, name)
	if errors.Is(err, store.ErrNotFound) {
		return o, resource.Errorf(resource.CodeNotFound, "instance %s does not exist", name)
	}
	if err != nil {
		return o, fmt.Errorf("read instance %s: %w", name, err)
	}
	if o.set, err = stored(tx, o.Status.Set); err != nil {
		return o, err
	}
	all, _, err := store.ListAs[resource.InstanceSpec, resource.InstanceStatus](
		ctx, tx.Reader(), resource.KindInstance, store.ListOptions{Owner: o.Status.Set})
	if err != nil {
		return o, fmt.Errorf("list instances: %w", err)
	}
	for _, in := range all {
		if in.Name != name {
			o.others = append(o.others, member{Instance: in})
		}
	}
	return o, nil
}

// carryOut notes the action on the instance. A deletion makes the set smaller, which
// belongs into the same transaction: nobody takes the place of what was deleted on
// purpose.
func (o *order) carryOut() (smaller *resource.ScaleSet, err error) {
	if o.known() {
		return nil, nil
	}
	if o.recovered() && o.action == resource.ActionDelete {
		return nil, o.drop()
	}
	if err := o.refusal(); err != nil {
		return nil, err
	}
	op := &resource.Operation{Action: o.action, By: o.by, At: o.now}
	switch o.action {
	case resource.ActionDelete:
		set := *o.set
		set.Spec.Capacity = max(0, set.Spec.Capacity-1)
		smaller = &set
		o.supersede()
	case resource.ActionReimage:
		o.Status.Notice = reimageNotice(o.set.Spec, o.Instance, o.now)
		fallthrough
	default:
		op.Warnings = o.warnings()
	}
	o.Status.Operation = op
	return smaller, nil
}

// known says whether the same was asked before, or happens in any case.
func (o *order) known() bool {
	if o.action == resource.ActionDelete && (o.departs() || o.Status.Goal == resource.GoalDelete) {
		return true
	}
	op := o.Status.Operation
	return op != nil && op.Action == o.action
}

// warnings say what a restart or reimage costs when nobody can stand in.
func (o *order) warnings() []string {
	standsIn := func(m member) bool { return m.serving() && !m.departs() }
	if !o.serving() || slices.ContainsFunc(o.others, standsIn) {
		return nil
	}
	text := fmt.Sprintf("no other instance of scale set %s is healthy and in service: ", o.set.Name)
	mate := func(m member) bool { return m.Status.Colour == o.Status.Colour && !m.departs() && !m.recovered() }
	if slices.ContainsFunc(o.others, mate) {
		text += fmt.Sprintf("it waits for one, %s at most; then, ", resource.Duration(lastLimit))
	}
	return []string{text + fmt.Sprintf("while %s is away, requests wait for the load balancer's queueTimeout at most", o.Name)}
}

// drop deletes an instance that an older snapshot did not know and that its user does
// not want back. Its set, if there still is one, does not count it.
func (o *order) drop() error {
	if o.Status.Admission != resource.AdmissionOut {
		return o.conflict("it still takes traffic; it is taken out once the instances of its set are healthy")
	}
	if o.set != nil {
		o.Status.Notice = endNotice(o.set.Spec, o.Instance, o.now)
	}
	if o.Status.Notice == nil {
		o.Status.Goal = resource.GoalDelete
	}
	return nil
}

// refusal says why the action cannot be asked of the instance now, or nil.
func (o *order) refusal() error {
	op := o.Status.Operation
	switch {
	case o.recovered():
		return o.conflict("an older state of the documents did not know it, and it is kept as it was found; `drover delete instance " + o.Name + "` removes it")
	case o.set == nil || o.set.Status.Deleting != nil:
		return o.conflict("its scale set is being deleted")
	case o.departs() || o.Status.Goal == resource.GoalDelete:
		return o.conflict("it is to be deleted, which is not called back; scale the set out for a new one")
	case o.action == resource.ActionDelete:
		return o.undeletable()
	case op != nil:
		return o.conflict(fmt.Sprintf("a %s of it is under way, asked for by %s; wait until that is done", word(op.Action), op.By))
	case o.draining():
		return o.conflict("it is being taken out of service; wait until it is Out, or gone")
	}
	return nil
}

// undeletable says why a set cannot become smaller by this instance, or nil.
func (o *order) undeletable() error {
	s := o.set.Status
	switch {
	case s.Rollout != "":
		return resource.Errorf(resource.CodeRolloutInProgress, "cannot delete instance %s while rollout %s of scale set %s runs: wait for its end, or scale the set",
			o.Name, s.Rollout, o.set.Name)
	case o.Status.Colour != s.Colour:
		return o.conflict(fmt.Sprintf("the set serves with its %s instances; this %s one is kept from the last rollout and goes by itself", s.Colour, o.Status.Colour))
	case o.draining() && !o.operated():
		return o.conflict("it is being taken out of service; wait until it is Out, or gone")
	}
	return nil
}

func (o *order) conflict(why string) error {
	return resource.Errorf(resource.CodeConflict, "cannot %s instance %s: %s", word(o.action), o.Name, why)
}

// word is an action within a sentence.
func word(a resource.Action) string { return strings.ToLower(string(a)) }
