package pool

import (
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// drain is one drain of one member. It is guarded by the pool's lock.
type drain struct {
	atStart int
	dead    bool
	ended   resource.DrainEnd
	timer   *time.Timer
}

func (p *Pool) finish(d *drain, end resource.DrainEnd) {
	d.ended = end
	d.stop()
	p.drained()
}

func (d *drain) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func idleOrDead(dead bool) resource.DrainEnd {
	if dead {
		return resource.DrainDead
	}
	return resource.DrainIdle
}

// State is what a member does at the moment.
type State struct {
	InFlight int
	Up       bool // can be picked as far as its health goes
	// Draining says that a drain was begun; Ended is empty while it lasts.
	Draining        bool
	InFlightAtStart int
	Ended           resource.DrainEnd
}

// Add takes in a member that no pool has.
func (p *Pool) Add(m *Member, admission resource.Admission, healthy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.healthy = healthy
	if m.Key != (Key{}) {
		p.known[m.Key.member] = m
	}
	p.admit(m, admission)
}

// Admit says what the documents say of a member; a change may begin, end or take back a drain.
func (p *Pool) Admit(m *Member, admission resource.Admission) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.admission != admission {
		p.admit(m, admission)
	}
}

func (p *Pool) admit(m *Member, admission resource.Admission) {
	m.admission = admission
	switch admission {
	case resource.AdmissionInService:
		if m.drain != nil {
			m.drain.stop()
			m.drain = nil
		}
	case resource.AdmissionDraining:
		p.startDrain(m)
	default:
		p.force(m)
	}
	p.place(m)
}

func (p *Pool) startDrain(m *Member) {
	d := &drain{atStart: m.inFlight}
	m.drain = d
	if m.inFlight == 0 {
		p.finish(d, resource.DrainIdle)
		return
	}
	d.timer = time.AfterFunc(p.drain, func() { p.expire(m, d) })
}

func (p *Pool) expire(m *Member, d *drain) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.drain != d || d.ended != "" {
		return
	}
	p.finish(d, timeoutOrDead(d.dead))
	m.interrupt(CutDrain)
}

func timeoutOrDead(dead bool) resource.DrainEnd {
	if dead {
		return resource.DrainDead
	}
	return resource.DrainTimeout
}

// force takes what is in flight away from a member that got no drain, or not a whole one.
func (p *Pool) force(m *Member) {
	switch {
	case m.drain != nil && m.drain.ended == "":
		p.finish(m.drain, timeoutOrDead(m.drain.dead))
	case m.drain == nil && m.inFlight > 0:
		m.drain = &drain{atStart: m.inFlight, ended: resource.DrainTimeout}
	}
	m.interrupt(CutForced)
}

func (m *Member) interrupt(why Cut) {
	for c := m.claims; c != nil; c = c.next {
		if c.cut == NotCut {
			c.cut = why
			c.holder.Interrupt()
		}
	}
}

// Remove takes a member out for good. Its claims are interrupted and must still be released.
func (p *Pool) Remove(m *Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admit(m, resource.AdmissionOut)
	if p.known[m.Key.member] == m { // else it is the next process's already
		delete(p.known, m.Key.member)
	}
}

// Observe takes in what a probe found. A success also ends a refusal.
func (p *Pool) Observe(m *Member, healthy, succeeded bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.healthy = healthy
	if succeeded {
		m.refused = false
	}
	p.place(m)
}

// Refuse notes that nobody listens at a member: it is not picked again before a
// probe succeeded.
func (p *Pool) Refuse(m *Member) {
	p.mu.Lock()
	news := !m.refused
	m.refused = true
	p.place(m)
	p.mu.Unlock()
	if news && m.Recover != nil {
		m.Recover()
	}
}

// SetDrain changes the time-out of drains that begin from now on.
func (p *Pool) SetDrain(timeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drain = timeout
}

// State is what a member does at the moment.
func (p *Pool) State(m *Member) State {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := State{InFlight: m.inFlight, Up: m.healthy && !m.refused}
	if m.drain != nil {
		s.Draining, s.InFlightAtStart, s.Ended = true, m.drain.atStart, m.drain.ended
	}
	return s
}
