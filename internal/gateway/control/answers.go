package control

import (
	"maps"
	"reflect"
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
	// At is when the gateway gathered them. Current: after it had applied the last
	// snapshot that it was sent.
	At      time.Time
	Current bool
	// ByVersion are the sums of ByColour, which has each colour's versions.
	ByVersion map[string]resource.Counters
	ByColour  map[resource.Colour]map[string]resource.Counters
}

// Validation is the outcome of the one attempt to validate a process.
type Validation struct {
	StartedAt time.Time // of the process
	At        time.Time
	Error     string // empty: it passed
}

// Preview is what became of a set's preview: it listens at Address, or not, for the
// reason that Problem says.
type Preview struct{ Address, Problem string }

// answers holds the gateway's last facts, and what was confirmed, for those who ask.
type answers struct {
	mu sync.Mutex
	// connected says that a gateway answers now, and has applied pushed.
	connected bool
	pushed    int64 // the generation that was sent last
	applied   int64 // the revision that is true: pushed, or later without a difference
	facts     wire.Facts
	elder     *elder // nil: no gateway leaves, and none that did is still to be added
	instances map[string]wire.InstanceFacts
	lastUp    map[string][]string
	previews  map[string]Preview // by set

	changed   chan struct{}
	certified chan struct{} // facts about certificates differ
	logs      chan struct{} // holds one signal: whether access logs are written may differ
	notify    func(instance string)
}

func newAnswers() *answers {
	return &answers{
		instances: map[string]wire.InstanceFacts{},
		changed:   make(chan struct{}, 1),
		certified: make(chan struct{}, 1),
		logs:      make(chan struct{}, 1),
	}
}

// Applied says that the gateway routes by documents of this revision or a later one.
func (a *answers) Applied(revision int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.connected && a.applied >= revision
}

// Drain says how far an instance's drain is; false: the gateway does not answer,
// or has not told of it yet. Ask once Applied is true for the revision that
// began the drain: before that, the answer may be an earlier drain's.
func (a *answers) Drain(instance string) (DrainState, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.instances[instance]
	if !ok || !a.current() {
		return DrainState{}, false
	}
	d := f.Drain.And(a.elder.drain(instance))
	if d == nil {
		return DrainState{}, false
	}
	return DrainState{InFlightAtStart: d.InFlightAtStart, InFlight: d.InFlight, Ended: d.Ended}, true
}

// current says that all gateways answer, and have told what came of all that they were sent.
func (a *answers) current() bool {
	return a.connected && a.facts.Generation >= a.pushed && a.elder.current(a.pushed)
}

// Approved says when an instance approved a scheduled event; false: it has not, or
// the gateway does not answer. It is known until the event is not Scheduled any more.
func (a *answers) Approved(eventID string) (time.Time, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.facts.Approvals[eventID]
	return at, ok
}

// Figures are a set's counters; false: the gateway does not answer.
func (a *answers) Figures(set string) (Figures, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.connected || a.facts.Incarnation == "" || a.elder != nil && a.elder.mute {
		return Figures{}, false
	}
	f := Figures{
		Incarnation: a.facts.Incarnation, At: a.facts.At, Current: a.current(),
		ByVersion: map[string]resource.Counters{}, ByColour: map[resource.Colour]map[string]resource.Counters{},
	}
	f.add(set, a.facts.Figures)
	if a.elder.counts(a.facts) {
		f.add(set, a.elder.facts.Figures)
		if a.elder.facts.At.Before(f.At) && !a.elder.gone {
			f.At = a.elder.facts.At
		}
	}
	return f, true
}

func (f *Figures) add(set string, list []wire.Figure) {
	for _, v := range list {
		if v.Set != set {
			continue
		}
		f.ByVersion[v.Version] = f.ByVersion[v.Version].Plus(v.Counters)
		if f.ByColour[v.Colour] == nil {
			f.ByColour[v.Colour] = map[string]resource.Counters{}
		}
		f.ByColour[v.Colour][v.Version] = f.ByColour[v.Colour][v.Version].Plus(v.Counters)
	}
}

// Balancers are what the gateway tells of the load balancers that documents describe;
// none: it does not answer. While a gateway leaves, they are of both.
func (a *answers) Balancers() (list []wire.BalancerFacts) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.connected {
		return nil
	}
	for _, b := range a.facts.Balancers {
		if resource.ValidateName(b.Name) == nil { // else it is a preview
			list = append(list, a.elder.with(b, a.facts))
		}
	}
	return list
}

// Validation is the outcome of an instance's validation; false: none is known. As
// with Drain, ask once Applied is true for the revision that asks for it.
func (a *answers) Validation(instance string) (Validation, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, ok := a.instances[instance]
	if !ok || f.Validation == nil || !a.connected || a.facts.Generation < a.pushed {
		return Validation{}, false
	}
	return Validation(*f.Validation), true
}

// Preview is what became of a set's preview; false: it has none, or it is not known yet.
func (a *answers) Preview(set string) (Preview, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.previews[set]
	return p, ok
}

// preview notes what became of the previews.
func (a *answers) preview(previews map[string]Preview) {
	a.mu.Lock()
	news := !maps.Equal(a.previews, previews)
	a.previews = previews
	a.mu.Unlock()
	if news {
		signal(a.changed)
	}
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

// Changed signals that an answer of Applied, Drain, Figures, Validation or Preview may differ. It
// holds one signal and is meant for one reader.
func (a *answers) Changed() <-chan struct{} { return a.changed }

// OnProbe sets what is called, without a lock held, for each instance whose
// answer of Probe changed. It must return at once, and be set before Run.
func (a *answers) OnProbe(f func(instance string)) { a.notify = f }

// confirm notes that the gateway applied a snapshot of generation pushed, which
// is still what the documents say at revision.
func (a *answers) confirm(pushed, revision int64) {
	a.mu.Lock()
	news := !a.connected || a.applied != revision
	a.connected, a.pushed, a.applied = true, pushed, revision
	a.mu.Unlock()
	if news {
		signal(a.changed)
	}
}

// disconnect makes every answer of the moment unknown, until the next gateway
// has confirmed a snapshot. What was healthy stays known, as a hint for it.
func (a *answers) disconnect() {
	a.mu.Lock()
	a.connected = false
	if len(a.facts.Balancers) > 0 {
		a.lastUp = map[string][]string{}
		for _, b := range a.facts.Balancers {
			a.lastUp[b.Name] = b.Up
		}
	}
	a.facts, a.elder = wire.Facts{}, nil
	for name, f := range a.instances {
		f.Drain = nil
		a.instances[name] = f
	}
	a.mu.Unlock()
	signal(a.changed)
}

// update takes in new facts.
func (a *answers) update(f wire.Facts) {
	a.mu.Lock()
	old := a.instances
	renewed := !sameCertificates(a.facts.Balancers, f.Balancers)
	if !maps.Equal(logProblemsOf(a.facts), logProblemsOf(f)) {
		signal(a.logs)
	}
	a.facts, a.instances = f, make(map[string]wire.InstanceFacts, len(f.Instances))
	if a.elder != nil && a.elder.gone && !a.elder.counts(f) {
		a.elder = nil
	}
	var probed []string
	for _, i := range f.Instances {
		a.instances[i.Name] = i
		if probeChanged(old[i.Name].Probe, i.Probe) {
			probed = append(probed, i.Name)
		}
	}
	a.mu.Unlock()
	signal(a.changed)
	if renewed {
		signal(a.certified)
	}
	if a.notify != nil {
		for _, name := range probed {
			a.notify(name)
		}
	}
}

// certificates are what each balancer serves TLS with, as far as the gateway has told.
func (a *answers) certificates() map[string][]wire.CertificateFacts {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string][]wire.CertificateFacts{}
	for _, b := range a.facts.Balancers {
		all[b.Name] = b.Certificates
	}
	return all
}

func sameCertificates(a, b []wire.BalancerFacts) bool {
	return slices.EqualFunc(a, b, func(a, b wire.BalancerFacts) bool {
		return a.Name == b.Name && reflect.DeepEqual(a.Certificates, b.Certificates)
	})
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

// hints are the addresses that each balancer admitted when last known.
func (a *answers) hints() map[string][]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lastUp
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
