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

// endNotice tells an instance that it is to be deleted; nil: it is owed none. Its
// event's id comes from what no other instance ever was: who decides the same twice
// gives one notice.
func endNotice(set resource.ScaleSetSpec, in resource.Instance, now time.Time) *resource.Notice {
	if in.Status.Terminating() {
		return nil
	}
	return notice(set.TerminateNotification, resource.EventTerminate, in, "", now)
}

// reimageNotice tells an instance that it is to be reimaged, which may happen to it
// again; nil: it is owed none.
func reimageNotice(set resource.ScaleSetSpec, in resource.Instance, now time.Time) *resource.Notice {
	return notice(set.ReimageNotification, resource.EventRedeploy, in, " "+now.Format(time.RFC3339Nano), now)
}

// notice is for those that took traffic. Who takes it now may have been admitted
// before that was noted.
func notice(n *resource.Notification, t resource.EventType, in resource.Instance, which string, now time.Time) *resource.Notice {
	s := in.Status
	served := s.Served || s.Admission == resource.AdmissionInService || s.Admission == resource.AdmissionDraining
	if n == nil || !n.Enable || !served {
		return nil
	}
	return &resource.Notice{
		EventID: resource.GUID(string(t)+which, in), Type: t, Since: now, NotBefore: now.Add(n.NotBeforeTimeout.Std()),
	}
}

// depart takes those that were told of their end on their way: approval or NotBefore, drain, end.
// Each goes for itself, and nothing that the set does meanwhile calls one back.
func (p *pass) depart() {
	for _, m := range p.instances {
		switch {
		case !m.Status.Terminating() || m.Status.Goal != resource.GoalRun:
		case m.Status.Notice.Started != nil || p.free(m, p.due(m)):
			m.annotate(func(n *resource.Notice) { n.Started = new(p.Now) })
			p.finishOff(m)
		default:
			p.heed(m)
		}
	}
}

// heed lets an instance serve until its notice is over, unless it says itself that it
// won't.
func (p *pass) heed(m *member) {
	if m.unadmitted() || m.Status.Health == resource.HealthUnhealthy {
		p.drained(m)
	}
}

// finishOff drains an instance and then deletes it.
func (p *pass) finishOff(m *member) {
	if p.drained(m) {
		m.remove()
	}
}

// due is when a notice is over: when it was approved, or its time has come.
func (p *pass) due(m *member) time.Time {
	n := m.Status.Notice
	if at, ok := p.Approved[n.EventID]; ok && n.Approved == nil {
		m.annotate(func(n *resource.Notice) { n.Approved = &at })
	}
	if at := m.Status.Notice.Approved; at != nil && at.Before(n.NotBefore) {
		return *at
	}
	return n.NotBefore
}

// free says whether it may leave service, from due on. The last one that serves waits
// a while longer for another.
func (p *pass) free(m *member, due time.Time) bool {
	return p.until(due) && (!p.lastServing(m) || p.until(due.Add(lastLimit)))
}

// lastServing says whether no other instance could serve what m does: of those that
// leave as well, none counts, and while colours share the traffic none of another: a
// canary's part must not grow by a notice. A set that is to have none waits for none.
func (p *pass) lastServing(m *member) bool {
	if p.Set.Status.Deleting != nil || p.Set.Spec.Capacity == 0 || !m.serving() {
		return false
	}
	shared := p.Set.Status.Weights[m.Status.Colour] > 0
	return !slices.ContainsFunc(p.instances, func(o *member) bool {
		return o != m && !o.departs() && o.Status.Goal == resource.GoalRun && o.serving() &&
			(!shared || o.Status.Colour == m.Status.Colour)
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

// departing are the instances of c that are to be deleted and may still take traffic.
func (p *pass) departing(c resource.Colour) []*member {
	var list []*member
	for _, m := range p.instances {
		if m.Status.Colour == c && m.Status.Goal == resource.GoalRun && m.departs() && !m.recovered() {
			list = append(list, m)
		}
	}
	return list
}

// everyone of c: those that are meant to be and those that are to be deleted.
func (p *pass) everyone(c resource.Colour) []*member {
	return slices.Concat(p.colour(c), p.departing(c))
}

// awaitNotices says in the rollout's step that it waits until those of c are gone,
// and reports whether it does.
func (p *pass) awaitNotices(c resource.Colour) bool {
	list := slices.DeleteFunc(p.departing(c), func(m *member) bool { return m.Status.Notice == nil })
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
