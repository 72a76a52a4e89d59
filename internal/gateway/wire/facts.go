package wire

import (
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Facts are what the gateway observed. They are never stored.
type Facts struct {
	// Incarnation names what counters are counts of: they begin at zero with it. A
	// gateway that succeeded another one goes on with its, and what both have counted
	// adds up, until the predecessor has ended and its counts are Inherited.
	Incarnation string `json:"incarnation"`
	// Process names one life of a gateway process; Inherited is the one that these
	// facts include.
	Process   string `json:"process"`
	Inherited string `json:"inherited,omitempty"`
	// Sequence grows with every change; the next poll waits for a later one.
	Sequence   uint64 `json:"sequence"`
	Generation int64  `json:"generation"`
	// At is when they were gathered: all counters are of this time or a little later.
	At        time.Time       `json:"at,omitzero"`
	Instances []InstanceFacts `json:"instances,omitempty"`
	Figures   []Figure        `json:"figures,omitempty"`
	Balancers []BalancerFacts `json:"balancers,omitempty"`
	// Approvals are the events that were approved and that are still Scheduled in the snapshot.
	Approvals map[string]time.Time `json:"approvals,omitempty"`
}

// InstanceFacts are about one instance over all balancers of the gateway.
type InstanceFacts struct {
	Name  string `json:"name"`
	Probe *Probe `json:"probe,omitempty"`
	Drain *Drain `json:"drain,omitempty"`
	// Validation is what came of Instance.Validate; nil: nothing yet.
	Validation *Validation `json:"validation,omitempty"`
}

// Validation is the outcome of the one attempt to validate a process.
type Validation struct {
	StartedAt time.Time `json:"startedAt,omitzero"`
	At        time.Time `json:"at,omitzero"`
	Error     string    `json:"error,omitempty"` // empty: it passed
}

// Probe is the outcome of the set's health check, as consecutive counts: one of the two is zero.
type Probe struct {
	StartedAt time.Time `json:"startedAt,omitzero"`
	Successes int       `json:"successes,omitempty"`
	Failures  int       `json:"failures,omitempty"`
	LastAt    time.Time `json:"lastAt,omitzero"`
	LastError string    `json:"lastError,omitempty"`
}

// Drain is how far an instance's drain is; Ended is empty while it lasts.
type Drain struct {
	InFlightAtStart int               `json:"inFlightAtStart"`
	InFlight        int               `json:"inFlight"`
	Ended           resource.DrainEnd `json:"ended,omitempty"`
}

// And is both drains as one; a nil one is none. It has ended when both have: by the
// worse of their ends, which is Dead, then Timeout, then Idle.
func (d *Drain) And(e *Drain) *Drain {
	switch {
	case d == nil:
		return e
	case e == nil:
		return d
	}
	both := &Drain{InFlightAtStart: d.InFlightAtStart + e.InFlightAtStart, InFlight: d.InFlight + e.InFlight, Ended: resource.DrainIdle}
	for _, end := range []resource.DrainEnd{"", resource.DrainDead, resource.DrainTimeout} {
		if d.Ended == end || e.Ended == end {
			both.Ended = end
			break
		}
	}
	return both
}

// Figure is what was counted for one version of a set in one colour: both colours
// may have the same. Requests that no instance took (none was in service) are under
// the empty version.
type Figure struct {
	Set     string          `json:"set"`
	Version string          `json:"version"`
	Colour  resource.Colour `json:"colour,omitempty"`
	resource.Counters
}

// BalancerFacts are about one balancer.
type BalancerFacts struct {
	Name        string            `json:"name"`
	Address     string            `json:"address,omitempty"`
	Connections int               `json:"connections,omitempty"`
	Refused     uint64            `json:"refused,omitempty"` // connections over a client's limit
	Queued      int               `json:"queued,omitempty"`
	Up          []string          `json:"up,omitempty"`
	Counters    resource.Counters `json:"counters"`
	// LogDropped are lines of the access log that could not be written, and
	// LogProblem is why none is at the moment; empty: they are.
	LogDropped uint64 `json:"logDropped,omitempty"`
	LogProblem string `json:"logProblem,omitempty"`
	// Certificates are what TLS is served with, in the order of the spec.
	Certificates []CertificateFacts `json:"certificates,omitempty"`
}

// CertificateFacts are about one certificate of a balancer.
type CertificateFacts struct {
	Source    string    `json:"source"` // the field that names it
	Names     []string  `json:"names,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"` // zero: none is served
	NotAfter  time.Time `json:"notAfter,omitzero"`
	// Problem is why what is in the files now is not served; empty: it is.
	Problem string `json:"problem,omitempty"`
}
