package fleet

import (
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// lastLimit is how long the last instance that serves stays beyond its notice, for
// another one to become healthy.
const lastLimit = 5 * time.Minute

// owesNotice says whether an instance must be told before it is deleted: not one
// that never took traffic, and none twice. Who takes it now may have been admitted
// before that was noted.
func owesNotice(set resource.ScaleSetSpec, in resource.InstanceStatus) bool {
	n := set.TerminateNotification
	served := in.Served || in.Admission == resource.AdmissionInService || in.Admission == resource.AdmissionDraining
	return n != nil && n.Enable && served && in.Notice == nil
}

// newNotice tells an instance that it is to be deleted. The event's id comes from
// what no other instance ever was: who decides the same twice gives one notice.
func newNotice(set resource.ScaleSetSpec, in resource.Instance, now time.Time) *resource.Notice {
	return &resource.Notice{
		EventID: resource.GUID(string(resource.EventTerminate), in), Type: resource.EventTerminate,
		Since: now, NotBefore: now.Add(set.TerminateNotification.NotBeforeTimeout.Std()),
	}
}

// depart takes those under notice on their way: approval or NotBefore, drain, end.
// Each goes for itself, and nothing that the set does meanwhile calls one back.
func (p *pass) depart() {
	for _, m := range p.instances {
		switch {
		case m.Status.Notice == nil || m.Status.Goal != resource.GoalRun:
		case p.released(m):
			m.annotate(func(n *resource.Notice) { n.Started = new(p.Now) })
			p.finishOff(m)
		case m.Status.Admission == resource.AdmissionInService && m.Status.Health != resource.HealthUnhealthy:
			// It serves on until its notice is over, unless it says itself that it won't.
		default:
			p.drained(m)
		}
	}
}

// finishOff drains an instance and then deletes it.
func (p *pass) finishOff(m *member) {
	if p.drained(m) {
		m.remove()
	}
}

// released says that the notice is over: it was approved, or its time has come.
// The last one that serves waits a while longer for another.
func (p *pass) released(m *member) bool {
	n := m.Status.Notice
	if n.Started != nil {
		return true
	}
	due := n.NotBefore
	if at, ok := p.Approved[n.EventID]; ok && n.Approved == nil {
		m.annotate(func(n *resource.Notice) { n.Approved = &at })
	}
	if at := m.Status.Notice.Approved; at != nil && at.Before(due) {
		due = *at
	}
	return p.until(due) && (!p.lastServing(m) || p.until(due.Add(lastLimit)))
}

// lastServing says whether no other instance could serve what m does: of those that
// leave as well, none counts. A set that is to have none waits for none.
func (p *pass) lastServing(m *member) bool {
	if p.Set.Status.Deleting != nil || p.Set.Spec.Capacity == 0 || !m.serving() {
		return false
	}
	return !slices.ContainsFunc(p.instances, func(o *member) bool {
		return o.Status.Notice == nil && o.Status.Goal == resource.GoalRun && o.serving()
	})
}

// annotate changes the notice, and leaves the view's as it was seen.
func (m *member) annotate(change func(*resource.Notice)) {
	n := *m.Status.Notice
	change(&n)
	if n != *m.Status.Notice {
		m.Status.Notice, m.changed = &n, true
	}
}

// underNotice are the instances of c that were told and are not on their way out yet.
func (p *pass) underNotice(c resource.Colour) []*member {
	var list []*member
	for _, m := range p.instances {
		if m.Status.Colour == c && m.Status.Goal == resource.GoalRun && m.Status.Notice != nil && !m.recovered() {
			list = append(list, m)
		}
	}
	return list
}

// everyone of c: those that are meant to be and those under notice.
func (p *pass) everyone(c resource.Colour) []*member {
	return slices.Concat(p.colour(c), p.underNotice(c))
}

// awaitNotices says in the rollout's step that it waits until those of c are gone,
// and reports whether it does.
func (p *pass) awaitNotices(c resource.Colour) bool {
	list := p.underNotice(c)
	if len(list) == 0 {
		return false
	}
	last := slices.MaxFunc(list, func(a, b *member) int { return a.Status.Notice.NotBefore.Compare(b.Status.Notice.NotBefore) })
	p.say(fmt.Sprintf("waits for %s of the previous colour under notice: until they approve, or %s",
		instances(len(list)), last.Status.Notice.NotBefore.UTC().Format(time.RFC3339)))
	return true
}

func instances(n int) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}

// leavingSince is from when on the wait for c to be gone counts: notices have
// limits of their own.
func (p *pass) leavingSince(c resource.Colour) time.Time {
	since := p.Rollout.Status.PhaseSince
	for _, m := range p.instances {
		if n := m.Status.Notice; n != nil && n.Started != nil && m.Status.Colour == c && n.Started.After(since) {
			since = *n.Started
		}
	}
	return since
}

// events are what the set's instances are told, in the instances' order.
func (p *pass) events() []resource.ScheduledEvent {
	var list []resource.ScheduledEvent
	for _, m := range p.instances {
		if n := m.Status.Notice; n != nil {
			list = append(list, n.Event(m.Name))
		}
	}
	return list
}
