package fleet

import (
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Traffic is what the rollout engine asks of the gateways. The answers are facts
// of the moment and never stored.
type Traffic interface {
	// Applied says that every gateway routes by documents of this revision or a later one.
	Applied(revision int64) bool
	// Drain says how far an instance's drain is; false: not known (yet). It is asked
	// once the revision that began the drain is Applied.
	Drain(instance string) (Drain, bool)
	// Approved says when an instance approved a scheduled event; false: it has not (yet).
	Approved(eventID string) (time.Time, bool)
	// Figures are a set's counters; false: no gateway answers.
	Figures(set string) (Figures, bool)
	// Validation is the outcome of an instance's validation; false: not known (yet). It
	// is asked once the instance's revision is Applied.
	Validation(instance string) (Validation, bool)
	// Preview is what became of a set's preview; false: not known (yet).
	Preview(set string) (Preview, bool)
	// Changed signals that some answer may differ.
	Changed() <-chan struct{}
}

// Drain is how far an instance's drain is. Ended is empty while it lasts.
type Drain struct {
	InFlightAtStart int
	Ended           resource.DrainEnd
}

// Figures are cumulative since the gateway's incarnation began.
type Figures struct {
	Incarnation string
	// At is when they were gathered, Current whether after the gateway had applied all
	// that it was told.
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

// Preview is where a set's preview listens, or why it does not.
type Preview struct{ Address, Problem string }
