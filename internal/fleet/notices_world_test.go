package fleet

import (
	"reflect"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"pgregory.net/rapid"
)

// drawNotification lets the set announce what it deletes, or not.
func drawNotification(t *rapid.T) *resource.Notification {
	return rapid.SampledFrom([]*resource.Notification{
		nil, {},
		{Enable: true},
		{Enable: true, NotBeforeTimeout: resource.Duration(20 * time.Second)},
		{Enable: true, NotBeforeTimeout: resource.MaxNotice},
	}).Draw(t, "notification")
}

// tell has a program see its notice: some approve after a while, some never do, and
// some fail their probes from then on.
func (w *world) tell(p *process) {
	if w.rand.IntN(3) > 0 {
		p.approveAt = w.now.Add(w.seconds(0, 60))
	}
	p.refuses = w.rand.IntN(2) == 0
}

// approve has the programs whose time has come approve.
func (w *world) approve() {
	for _, name := range w.names() {
		p := w.instances[name]
		if n := p.Status.Notice; n != nil && !p.approveAt.IsZero() && !w.now.Before(p.approveAt) && w.approved[n.EventID].IsZero() {
			w.approved[n.EventID] = w.now
		}
	}
}

// checkNotices: nobody who took traffic is deleted unannounced or before its time,
// what was announced stays announced, and who was told never takes traffic again.
func (w *world) checkNotices(before View, plan Plan) {
	was := map[string]resource.InstanceStatus{}
	for _, in := range before.Instances {
		was[in.Name] = in.Status
	}
	after := written(before.Instances, plan.Change)
	for _, in := range after {
		old, now := was[in.Name], in.Status
		w.checkKept(in.Name, old, now)
		if old.Terminating() && old.Admission != resource.AdmissionInService && now.Admission == resource.AdmissionInService {
			w.t.Fatalf("%s takes traffic again under notice", in.Name)
		}
		if now.Goal != resource.GoalDelete || old.Goal == resource.GoalDelete {
			continue
		}
		n := now.Notice
		if !now.Terminating() && w.everServed[in.Name] && owed(plan.Set) {
			w.t.Fatalf("%s took traffic and is deleted without notice", in.Name)
		}
		if now.Terminating() && n.Approved == nil && w.now.Before(n.NotBefore) {
			w.t.Fatalf("%s is deleted %s before its time, and did not approve", in.Name, n.NotBefore.Sub(w.now))
		}
		if now.Terminating() && !w.everServed[in.Name] && old.Admission == resource.AdmissionOut && !old.Served {
			w.t.Fatalf("%s was told, and never took traffic", in.Name)
		}
	}
	w.checkEvents(before.Set.Status.ScheduledEvents, plan.Set.Status.ScheduledEvents, after)
}

func owed(set resource.ScaleSet) bool {
	n := set.Spec.TerminateNotification
	return n != nil && n.Enable
}

func (w *world) checkKept(name string, old, now resource.InstanceStatus) {
	if old.Notice == nil || !old.Terminating() && (now.Terminating() || now.Operation == nil || now.Operation.Action == resource.ActionDelete) {
		return // the reimage is done, or the instance is to go for good
	}
	if n := now.Notice; n == nil || n.EventID != old.Notice.EventID || !n.NotBefore.Equal(old.Notice.NotBefore) ||
		old.Notice.Approved != nil && n.Approved == nil || old.Notice.Started != nil && n.Started == nil {
		w.t.Fatalf("the notice of %s became %+v, was %+v", name, n, old.Notice)
	}
}

// checkEvents: the incarnation grows by one exactly when the content changes.
func (w *world) checkEvents(old, now *resource.ScheduledEvents, after []resource.Instance) {
	told := map[string]bool{}
	for _, in := range after {
		told[in.Name] = in.Status.Notice != nil
	}
	if old == nil {
		old = &resource.ScheduledEvents{Incarnation: resource.FirstIncarnation}
	}
	if now == nil {
		now = old
	}
	changed := len(old.Events)+len(now.Events) > 0 && !reflect.DeepEqual(old.Events, now.Events)
	if grown := now.Incarnation - old.Incarnation; grown != 0 && grown != 1 || (grown == 1) != changed {
		w.t.Fatalf("incarnation %d after %d for %+v after %+v", now.Incarnation, old.Incarnation, now.Events, old.Events)
	}
	if count(told) != len(now.Events) {
		w.t.Fatalf("%d under notice, %d events", count(told), len(now.Events))
	}
}

// overstayed: the last one that serves leaves at last, though nobody can stand in for it.
func (w *world) overstayed(plan Plan) bool {
	for _, in := range plan.Change {
		op, n := in.Status.Operation, in.Status.Notice
		var due time.Time
		switch {
		case n != nil && n.Started != nil:
			due = n.NotBefore
			if n.Approved != nil && n.Approved.Before(due) {
				due = *n.Approved
			}
		case op != nil && n == nil:
			due = op.At
		default:
			continue
		}
		if !w.now.Before(due.Add(lastLimit)) || w.alone(in) {
			return true
		}
	}
	return false
}
