package control

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// ProbeResult is the outcome of a set's health check of one instance so far.
type ProbeResult struct {
	// StartedAt is the start of the process that was probed.
	StartedAt time.Time
	// Successes and Failures are consecutive: one of them is zero.
	Successes, Failures int
	LastAt              time.Time
	LastError           string
}

// DrainState is how far the drain of an instance is, over all balancers that served it.
type DrainState struct {
	InFlightAtStart int
	InFlight        int
	// Ended is empty while the drain lasts.
	Ended resource.DrainEnd
}

// Figures are a set's counters since the gateway's incarnation began. Requests
// that no instance took are under the empty version.
type Figures struct {
	Incarnation string
	ByVersion   map[string]resource.Counters
}

// Balancer is what the gateway says of one load balancer.
type Balancer struct {
	Name        string
	Address     string
	Connections int
	// Refused counts connections over a client's limit.
	Refused  uint64
	Queued   int
	Up       []string
	Counters resource.Counters
}

// answers holds the gateway's last facts, and what was confirmed, for those who ask.
type answers struct {
	mu sync.Mutex
	// connected says that facts are those of a gateway that answers now.
	connected bool
	facts     wire.Facts
	instances map[string]wire.InstanceFacts
	applied   int64

	changed chan struct{}
	probes  chan struct{}
	notify  func(instance string)
}

func newAnswers() *answers {
	return &answers{
		instances: map[string]wire.InstanceFacts{},
		changed:   make(chan struct{}, 1),
		probes:    make(chan struct{}, 1),
	}
}

// Applied says that the gateway routes by documents of this revision or a later one.
func (a *answers) Applied(revision int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.connected && a.applied >= revision
}

// Drain says how far an instance's drain is; false: the gateway does not answer,
// or does not know the instance as draining yet.
func (a *answers) Drain(instance string) (DrainState, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.instances[instance]
	if !ok || f.Drain == nil || !a.connected {
		return DrainState{}, false
	}
	return DrainState{InFlightAtStart: f.Drain.InFlightAtStart, InFlight: f.Drain.InFlight, Ended: f.Drain.Ended}, true
}

// Figures are a set's counters; false: the gateway does not answer.
func (a *answers) Figures(set string) (Figures, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.connected {
		return Figures{}, false
	}
	f := Figures{Incarnation: a.facts.Incarnation, ByVersion: map[string]resource.Counters{}}
	for _, v := range a.facts.Figures {
		if v.Set == set {
			f.ByVersion[v.Version] = v.Counters
		}
	}
	return f, true
}

// Probe is the last outcome of the set's health check of an instance; false:
// none yet. It stays known while a gateway is being replaced.
func (a *answers) Probe(instance string) (ProbeResult, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.instances[instance]
	if !ok || f.Probe == nil {
		return ProbeResult{}, false
	}
	return ProbeResult(*f.Probe), true
}

// InFlight is how many requests an instance holds now.
func (a *answers) InFlight(instance string) (int, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.instances[instance]
	return f.InFlight, ok && a.connected
}

// Balancers are what the gateway says of its load balancers; nil while it does not answer.
func (a *answers) Balancers() []Balancer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.connected {
		return nil
	}
	list := make([]Balancer, len(a.facts.Balancers))
	for i, b := range a.facts.Balancers {
		list[i] = Balancer(b)
	}
	return list
}

// Changed signals that an answer of Applied, Drain or Figures may differ. It
// holds one signal and is meant for one reader.
func (a *answers) Changed() <-chan struct{} { return a.changed }

// ProbesChanged signals that an answer of Probe may differ; for one reader.
func (a *answers) ProbesChanged() <-chan struct{} { return a.probes }

// OnProbe sets what is called, without a lock held, for each instance whose
// answer of Probe changed. It must return at once, and be set before Run.
func (a *answers) OnProbe(f func(instance string)) { a.notify = f }

// confirm notes that the gateway applied revision.
func (a *answers) confirm(revision int64) {
	a.mu.Lock()
	a.connected, a.applied = true, revision
	a.mu.Unlock()
	signal(a.changed)
}

// disconnect makes every answer of the moment unknown, until the next gateway
// has confirmed a snapshot. Probe results stay: they are hints for it.
func (a *answers) disconnect() {
	a.mu.Lock()
	a.connected = false
	for name, f := range a.instances {
		f.Drain, f.InFlight = nil, 0
		a.instances[name] = f
	}
	a.mu.Unlock()
	signal(a.changed)
}

// update takes in new facts.
func (a *answers) update(f wire.Facts) {
	a.mu.Lock()
	old := a.instances
	a.facts, a.instances = f, make(map[string]wire.InstanceFacts, len(f.Instances))
	var probed []string
	for _, i := range f.Instances {
		a.instances[i.Name] = i
		if probeChanged(old[i.Name].Probe, i.Probe) {
			probed = append(probed, i.Name)
		}
	}
	a.mu.Unlock()
	signal(a.changed)
	if len(probed) == 0 {
		return
	}
	signal(a.probes)
	if a.notify != nil {
		for _, name := range probed {
			a.notify(name)
		}
	}
}

// settled is how many successes in a row are worth telling one by one; no
// threshold is higher. Afterwards only a change of outcome is news.
const settled = 100

func probeChanged(old, now *wire.Probe) bool {
	switch {
	case now == nil:
		return false
	case old == nil || !old.StartedAt.Equal(now.StartedAt) || old.Failures != now.Failures:
		return true
	}
	return old.Successes != now.Successes && old.Successes <= settled
}

// up are the addresses that each balancer admitted when last known.
func (a *answers) up() map[string][]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := make(map[string][]string, len(a.facts.Balancers))
	for _, b := range a.facts.Balancers {
		m[b.Name] = b.Up
	}
	return m
}

// healthy are the instances whose health check succeeded when last known.
func (a *answers) healthy() map[string]time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := map[string]time.Time{}
	for name, f := range a.instances {
		if f.Probe != nil && f.Probe.Successes > 0 {
			m[name] = f.Probe.StartedAt
		}
	}
	return m
}

// names lists the instances known, for tests and logs.
func (a *answers) names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.instances))
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
