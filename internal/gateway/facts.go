package gateway

import (
	"maps"
	"slices"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
)

// facts are what is known now.
func (s *state) facts() wire.Facts {
	sequence := s.news.now() // before the rest: what changes meanwhile is told again
	s.mu.Lock()
	defer s.mu.Unlock()
	f := wire.Facts{
		Incarnation: s.incarnation, Process: s.process, Inherited: s.inherited,
		Sequence: sequence, Generation: s.applied.Generation, At: time.Now(),
	}
	for _, name := range slices.Sorted(maps.Keys(s.sets)) {
		t := s.sets[name]
		if t.fixed() {
			continue
		}
		for _, n := range slices.Sorted(maps.Keys(t.instances)) {
			f.Instances = append(f.Instances, t.factsOf(t.instances[n]))
		}
		f.Figures = append(f.Figures, t.figures()...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.balancers)) {
		f.Balancers = append(f.Balancers, s.balancers[name].facts())
	}
	if s.endpoint != nil {
		f.Approvals = s.endpoint.approvals.list()
	}
	return f
}

func (t *set) factsOf(i *instance) wire.InstanceFacts {
	f := wire.InstanceFacts{Name: i.Name, Drain: t.drainOf(i)}
	if i.trial != nil {
		f.Validation = i.trial.outcome.Load()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if r := i.result; !r.At.IsZero() {
		f.Probe = &wire.Probe{
			StartedAt: i.StartedAt,
			Successes: r.Successes,
			Failures:  r.Failures,
			LastAt:    r.At,
			LastError: r.Error,
		}
	}
	return f
}

func (t *set) figures() []wire.Figure {
	list := make([]wire.Figure, 0, len(t.order)+1)
	for _, of := range t.order {
		list = append(list, wire.Figure{Set: t.Name, Version: of.version, Colour: of.colour, Counters: t.counts[of].Read()})
	}
	if c := t.unserved.Read(); c.Requests > 0 {
		list = append(list, wire.Figure{Set: t.Name, Counters: c})
	}
	return list
}

func (b *balancer) facts() wire.BalancerFacts {
	f := wire.BalancerFacts{Name: b.Name, Queued: b.queue.Waiting(), Counters: b.counters.Read()}
	if b.on != nil {
		f.Address = b.on.Address
	}
	if b.front != nil {
		f.Connections, f.Refused = b.front.Connections()
	}
	if b.certificates != nil {
		f.Certificates = b.certificates.Facts()
	}
	if b.log != nil {
		f.LogDropped, f.LogProblem = b.log.Status()
	}
	f.Refused += b.inherited.refused
	f.LogDropped += b.inherited.logDropped
	for _, own := range b.bindings {
		for _, m := range own.members {
			if own.pool.State(m.member).Up {
				f.Up = append(f.Up, m.instance.Address)
			}
		}
	}
	slices.Sort(f.Up)
	return f
}
