package fleet

import (
	"slices"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// renewLimit is how long an instance that was stopped may take to be there again, on
// top of the times that its set gives it to stop and to become healthy.
const renewLimit = 5 * time.Minute

// operate takes what somebody asked of single instances one step on. Each goes for
// itself: notice where one is owed, drain, a new process, back into service.
func (p *pass) operate() {
	if p.Set.Status.Deleting != nil {
		return // they all go
	}
	for _, m := range p.instances {
		op := m.Status.Operation
		switch {
		case op == nil || m.Status.Goal != resource.GoalRun || m.Status.Terminating():
		case op.Action == resource.ActionDelete:
			if m.unadmitted() || p.free(m, op.At) {
				p.takeOut(m)
			}
		case op.Released != nil:
			p.takeBack(m)
		case op.Started != nil || p.mayStart(m):
			p.release(m)
		case m.Status.Notice != nil:
			p.heed(m)
		}
	}
}

// mayStart says whether a restart or reimage may take an instance out of service. The
// only one that there is has nobody to wait for, unless its part of a canary's traffic
// would go to the other colour.
func (p *pass) mayStart(m *member) bool {
	due := m.Status.Operation.At
	if m.Status.Notice != nil {
		due = p.due(m)
	}
	return p.free(m, due) || p.until(due) && !p.shared() && len(p.colour(m.Status.Colour)) == 1
}

// shared says whether both colours are meant to have some of the traffic.
func (p *pass) shared() bool {
	w := p.Set.Status.Weights
	return w[resource.Blue] > 0 && w[resource.Green] > 0
}

// release drains an instance. Once no gateway sends it anything, the wish is written
// that makes compute end its process.
func (p *pass) release(m *member) {
	op := *m.Status.Operation
	if op.Started == nil {
		op.Started = new(p.Now)
		m.Status.Operation, m.changed = &op, true
	}
	if m.Status.Notice != nil && m.Status.Notice.Started == nil {
		m.annotate(func(n *resource.Notice) { n.Started = op.Started })
	}
	if !p.drained(m) || !p.hidden(m) {
		return
	}
	op.Released = new(p.Now)
	m.Status.Operation, m.changed = &op, true
	s := &m.Status
	// What was done may be ahead of what was asked: an older snapshot was served.
	if op.Action == resource.ActionReimage {
		s.Reimage = max(s.Reimage, s.Reimaged) + 1
	} else {
		s.Restart = max(s.Restart, s.Restarted) + 1
	}
}

// hidden says whether the next process cannot mistake the event of its own reimage for
// another one. A gateway that does not confirm it is not waited for as long as a drain.
func (p *pass) hidden(m *member) bool {
	if m.Status.Notice == nil || p.Hidden[m.Name] {
		return true
	}
	p.again(drainPoll)
	return p.until(m.Status.Operation.Started.Add(p.DrainTimeout + confirmLimit))
}

// takeBack ends an operation once its outcome is known; who is fit then comes into
// service with the rest of its colour, in the same write. One that is not stays out
// until it is.
func (p *pass) takeBack(m *member) {
	known := m.healthy() && (m.validated() || m.refused())
	if !known && !p.until(p.renewed(m)) {
		if m.healthy() {
			p.again(bakePoll) // the gateway is about to validate it
		}
		return
	}
	m.end()
}

// renewed is when the wait for a new process to become healthy is over.
func (p *pass) renewed(m *member) time.Time {
	s, check := m.Status, p.Set.Spec.Health
	grace := check.GracePeriod.Std()
	limit := s.Operation.Released.Add(p.Set.Spec.StopTimeout.Std() + grace + renewLimit)
	if s.Renewed() && s.StartedAt != nil && s.Health != resource.HealthInitializing && !m.healthy() {
		due := s.StartedAt.Add(grace + (check.Interval + check.Timeout).Std())
		if due.Before(limit) {
			return due
		}
	}
	return limit
}

// end is the end of a restart or reimage, and of its notice.
func (m *member) end() { m.Status.Operation, m.Status.Notice, m.changed = nil, nil, true }

// supersede calls a restart or reimage off, as more than that is to be done.
func (m *member) supersede() {
	if !m.operated() {
		return
	}
	m.end()
	s := &m.Status
	s.Restart, s.Reimage = min(s.Restart, s.Restarted), min(s.Reimage, s.Reimaged)
}

// operated says whether it is to be restarted or reimaged, or was and is not back.
func (m *member) operated() bool {
	op := m.Status.Operation
	return op != nil && op.Action != resource.ActionDelete
}

// away says whether it is out of service for that.
func (m *member) away() bool { return m.operated() && m.Status.Operation.Started != nil }

// late says that a wait for instances to become healthy has lasted until t. While one
// is away it is not: that has a limit of its own.
func (p *pass) late(list []*member, t time.Time) bool {
	return p.until(t) && !slices.ContainsFunc(list, (*member).away)
}

// left are those of list that nobody asks anything of.
func left(list []*member) []*member {
	return slices.DeleteFunc(slices.Clone(list), (*member).operated)
}
