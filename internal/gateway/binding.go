package gateway

import (
	"sync"
	"time"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/probe"
	"github.com/droverhq/drover/internal/gateway/tally"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// binding is a pool over a set's instances as one balancer admits them.
type binding struct {
	balancer string
	set      *set
	pool     *pool.Pool
	retired  bool
	check    *wire.Check     // the balancer's own; nil: the set's
	preview  resource.Colour // the one that it reaches, before it is in service; empty: it is no preview
	up       map[string]bool
	members  map[string]*bound
}

// bound is an instance in a pool.
type bound struct {
	binding  *binding
	instance *instance
	process  wire.Instance // what instance was when it was bound: never changed
	member   *pool.Member
	closed   chan struct{}

	mu         sync.Mutex
	watch      *probe.Watch // nil: no check is made
	healthy    bool
	recovering bool
}

// effective is the check that admits at this balancer; nil: the snapshot says who is healthy.
func (b *binding) effective() *wire.Check {
	if b.check != nil {
		return b.check
	}
	return b.set.Check
}

// update brings the members in line; in two passes, those in service first.
func (b *binding) update(wanted map[string]wire.Instance, inService bool) {
	for name, m := range b.members {
		i := b.set.instances[name]
		if w, ok := wanted[name]; !ok && !inService || ok && i != m.instance && (b.admission(w) == resource.AdmissionInService) == inService {
			b.remove(m)
		}
	}
	for _, w := range b.set.Instances {
		if (b.admission(w) == resource.AdmissionInService) != inService {
			continue
		}
		if m := b.members[w.Name]; m != nil {
			m.update(w)
		} else {
			b.add(b.set.instances[w.Name])
		}
	}
}

// admission is what the snapshot says of an instance, as it is meant here: a
// preview admits those of its colour that are not in service yet.
func (b *binding) admission(w wire.Instance) resource.Admission {
	switch {
	case b.preview == "" || w.Admission == resource.AdmissionDraining:
		return w.Admission
	case w.Colour == b.preview:
		return resource.AdmissionInService
	}
	return resource.AdmissionOut
}

// counters are where requests to an instance are counted; nil: nowhere.
func (b *binding) counters(i wire.Instance) *tally.Counters {
	if b.preview != "" {
		return nil
	}
	return b.set.counters(issue{i.Colour, i.Version})
}

// unserved is where requests are counted that no instance took.
func (b *binding) unserved() *tally.Counters {
	if b.preview != "" {
		return nil
	}
	return b.set.unserved
}

func (b *binding) add(i *instance) {
	m := &bound{binding: b, instance: i, process: i.Instance, closed: make(chan struct{})}
	m.healthy = b.up[i.Address] || i.Healthy && b.check == nil && b.set.state.elder == nil
	m.member = &pool.Member{
		Name:     i.Name,
		Version:  i.Version,
		Colour:   i.Colour,
		Backend:  i.backend,
		Key:      pool.KeyOf(b.set.state.affinityKey, b.balancer, b.set.Name, i.Name),
		Counters: b.counters(i.Instance),
		Recover:  m.recover,
	}
	b.members[i.Name] = m
	b.pool.Add(m.member, b.admission(i.Instance), m.healthy)
	m.startWatch()
}

func (b *binding) remove(m *bound) {
	m.stop()
	b.pool.Remove(m.member)
	delete(b.members, m.instance.Name)
}

func (b *binding) close() {
	for _, m := range b.members {
		b.remove(m)
	}
}

// recheck changes how the balancer admits; everyone is believed as before until the new probes say otherwise.
func (b *binding) recheck(c *wire.Check) {
	if sameCheck(b.check, c) {
		return
	}
	b.check = c
	b.restart()
}

func (b *binding) restart() {
	for _, m := range b.members {
		m.stopWatch()
		m.startWatch()
	}
}

func (m *bound) update(w wire.Instance) {
	if m.binding.effective() == nil {
		m.mu.Lock()
		m.healthy = w.Healthy
		m.mu.Unlock()
		m.binding.pool.Observe(m.member, w.Healthy, false)
	}
	m.binding.pool.Admit(m.member, m.binding.admission(w))
}

func (m *bound) startWatch() {
	c := m.binding.effective()
	if c == nil || m.process.Address == "" {
		return
	}
	healthy, unhealthy := c.HealthyThreshold, c.UnhealthyThreshold
	w := m.binding.set.state.probers.Resume(target(m.process, *c), m.known(), func(r probe.Result) {
		m.mu.Lock()
		was := m.healthy
		m.healthy = probe.Judge(was, r, healthy, unhealthy)
		now := m.healthy
		m.mu.Unlock()
		m.binding.pool.Observe(m.member, now, r.Successes > 0)
		if was != now {
			m.binding.set.state.touch()
		}
	})
	m.mu.Lock()
	m.watch = w
	m.mu.Unlock()
}

// known is what the predecessor found by this check.
func (m *bound) known() (r probe.Result) {
	if m.binding.set.state.elder != nil && m.healthy {
		r = probe.Result{Successes: 1, At: time.Now()}
	}
	return r
}

func (m *bound) stopWatch() {
	m.mu.Lock()
	w := m.watch
	m.watch = nil
	m.mu.Unlock()
	if w != nil {
		w.Stop()
	}
}

func (m *bound) stop() {
	m.stopWatch()
	close(m.closed)
}

// recover has a member that was refused probed soon; where no check is made
// otherwise, until somebody listens again.
func (m *bound) recover() {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.watch != nil:
		m.watch.Hurry()
	case !m.recovering:
		m.recovering = true
		m.binding.set.state.background.Go(m.awaitListener)
	}
}

func (m *bound) awaitListener() {
	listens := make(chan struct{}, 1)
	connect := wire.Check{Interval: time.Second, Timeout: time.Second}
	w := m.binding.set.state.probers.Watch(target(m.process, connect), func(r probe.Result) {
		if r.Successes > 0 {
			select {
			case listens <- struct{}{}:
			default:
			}
		}
	})
	defer w.Stop()
	select {
	case <-m.closed:
		return
	case <-listens:
	}
	m.mu.Lock()
	m.recovering = false
	healthy := m.healthy
	m.mu.Unlock()
	m.binding.pool.Observe(m.member, healthy, true)
}
