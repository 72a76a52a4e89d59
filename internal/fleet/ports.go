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
	ByVersion   map[string]resource.Counters
}
