package gateway

import (
	"maps"
	"slices"
	"sync"

	"github.com/droverhq/drover/internal/gateway/probe"
	"github.com/droverhq/drover/internal/gateway/tally"
	"github.com/droverhq/drover/internal/gateway/upstream"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// maxVersions bounds the versions (by colour) of a set whose figures are kept.
const maxVersions = 32

// set is a scale set, or the fixed addresses of a balancer, with its processes
// and every pool that picks among them.
type set struct {
	wire.Set
	state     *state
	instances map[string]*instance
	bindings  []*binding
	unserved  *tally.Counters
	counts    map[issue]*tally.Counters
	order     []issue // by first sight
}

// issue is a version in a colour: what figures are kept by.
type issue struct {
	colour  resource.Colour
	version string
}

// instance is one process of a set.
type instance struct {
	wire.Instance
	backend *upstream.Backend
	watch   *probe.Watch // of the set's health check; nil: none
	trial   *trial       // of its validation; nil: none was made
	elder   *wire.Drain  // of the predecessor; nil: none, or it counts itself

	mu     sync.Mutex
	result probe.Result
}

// sameProcess tells the processes of an instance apart.
func sameProcess(a, b wire.Instance) bool {
	return a.Address == b.Address && a.PID == b.PID && a.StartedAt.Equal(b.StartedAt)
}

func newSet(s *state, name string) *set {
	return &set{
		Set:       wire.Set{Name: name},
		state:     s,
		instances: map[string]*instance{},
		unserved:  &tally.Counters{},
		counts:    map[issue]*tally.Counters{},
	}
}

// update makes the set what the snapshot says. Those that come into service do
// so before any other goes out, so that a pool that changes over is never empty.
func (t *set) update(w wire.Set) {
	recheck := !sameCheck(t.Check, w.Check)
	t.Set = w
	wanted := make(map[string]wire.Instance, len(w.Instances))
	for _, i := range w.Instances {
		wanted[i.Name] = i
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		t.updateInstance(wanted[name], recheck)
	}
	t.dropBindings()
	for _, b := range t.bindings {
		b.pool.SetWeights(w.Weights) // before any of a new colour comes into service
		if recheck && b.check == nil {
			b.restart()
		}
	}
	for _, inService := range []bool{true, false} {
		for _, b := range t.bindings {
			b.update(wanted, inService)
		}
	}
	for name, i := range t.instances {
		if _, ok := wanted[name]; !ok {
			t.forget(i)
		}
	}
}

func (t *set) updateInstance(w wire.Instance, recheck bool) {
	old := t.instances[w.Name]
	if old != nil && sameProcess(old.Instance, w) {
		old.Instance = w
		if recheck {
			t.stopWatch(old)
			t.startWatch(old)
		}
	} else {
		if old != nil {
			t.forget(old)
		}
		i := &instance{Instance: w, backend: upstream.New(w.Address, w.PID, t.state.forbidden)}
		t.instances[w.Name] = i
		t.startWatch(i)
	}
	i := t.instances[w.Name]
	if w.Admission == resource.AdmissionInService {
		i.elder = nil
	}
	i.backend.Retire(w.Admission != resource.AdmissionInService)
	t.validate(i)
}

func (t *set) startWatch(i *instance) {
	if t.Check == nil || t.fixed() || i.Address == "" {
		return
	}
	known := t.state.elderProbe(i.Instance)
	i.result = known
	i.watch = t.state.probers.Resume(target(i.Instance, *t.Check), known, func(r probe.Result) {
		i.mu.Lock()
		i.result = r
		i.mu.Unlock()
		t.state.touch()
	})
}

func (t *set) stopWatch(i *instance) {
	if i.watch != nil {
		i.watch.Stop()
		i.watch = nil
	}
}

// forget ends an instance that is gone, or whose process is.
func (t *set) forget(i *instance) {
	t.stopWatch(i)
	if i.trial != nil {
		i.trial.stop()
	}
	i.backend.Retire(true)
	t.state.background.Go(i.backend.Close)
	if t.instances[i.Name] == i {
		delete(t.instances, i.Name)
	}
}

// dropBindings forgets pools that no balancer uses and that hold no request.
func (t *set) dropBindings() {
	t.bindings = slices.DeleteFunc(t.bindings, func(b *binding) bool {
		done := b.retired && !b.pool.Busy()
		if done {
			b.close()
		}
		return done
	})
}

// close ends all probes of the set.
func (t *set) close() {
	for _, b := range t.bindings {
		b.close()
	}
	for _, i := range t.instances {
		t.forget(i)
	}
}

// fixed says whether the set is a balancer's fixed addresses.
func (t *set) fixed() bool { return isFixed(t.Name) }

// counters are those of a version in a colour.
func (t *set) counters(of issue) *tally.Counters {
	if t.fixed() {
		return nil
	}
	c := t.counts[of]
	if c == nil {
		c = &tally.Counters{}
		t.counts[of] = c
		t.order = append(t.order, of)
		if len(t.order) > maxVersions {
			t.pruneCounters()
		}
	}
	return c
}

// pruneCounters drops the oldest ones that no instance has.
func (t *set) pruneCounters() {
	used := map[issue]bool{}
	for _, i := range t.Instances {
		used[issue{i.Colour, i.Version}] = true
	}
	for n, of := range t.order {
		if !used[of] {
			delete(t.counts, of)
			t.order = slices.Delete(t.order, n, n+1)
			return
		}
	}
}

func sameCheck(a, b *wire.Check) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// target is what is asked of an instance by a check.
func target(i wire.Instance, c wire.Check) probe.Target {
	started := int64(i.PID)
	if !i.StartedAt.IsZero() {
		started = i.StartedAt.UnixNano()
	}
	return probe.Target{Address: i.Address, Started: started, Path: c.Path, H2C: c.H2C, Interval: c.Interval, Timeout: c.Timeout}
}

// drainOf is how far the drain of an instance is, over all pools; nil: none was begun.
func (t *set) drainOf(i *instance) (d *wire.Drain) {
	if i.Admission == resource.AdmissionDraining {
		d = &wire.Drain{Ended: resource.DrainIdle} // no balancer: nothing to wait for
	}
	for _, b := range t.bindings {
		m := b.members[i.Name]
		if m == nil {
			continue
		}
		if s := b.pool.State(m.member); s.Draining {
			d = d.And(&wire.Drain{InFlightAtStart: s.InFlightAtStart, InFlight: s.InFlight, Ended: s.Ended})
		}
	}
	return d.And(i.elder)
}
