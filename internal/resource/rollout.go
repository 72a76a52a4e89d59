package resource

import (
	"maps"
	"time"
)

// Rollout is the recorded change of one scale set from one model to another.
type Rollout = Object[RolloutSpec, RolloutStatus]

const KindRollout = "Rollout"

type RolloutSpec struct {
	Set        string      `json:"set"`
	Strategy   UpgradeMode `json:"strategy"` // BlueGreen | Rolling
	From       Reference   `json:"from"`
	To         Reference   `json:"to"`
	Force      bool        `json:"force,omitempty"`
	RollbackOf string      `json:"rollbackOf,omitempty"`
}

// Reference is an image with its digest, resolved once.
type Reference struct {
	Image  string `json:"image,omitempty"`
	Digest string `json:"digest,omitempty"`
}

type RolloutPhase string

const (
	RolloutPending     RolloutPhase = "Pending"
	RolloutStarting    RolloutPhase = "Starting"
	RolloutValidating  RolloutPhase = "Validating"
	RolloutShifting    RolloutPhase = "Shifting"
	RolloutUpgrading   RolloutPhase = "Upgrading"
	RolloutBaking      RolloutPhase = "Baking"
	RolloutFinishing   RolloutPhase = "Finishing"
	RolloutPaused      RolloutPhase = "Paused"
	RolloutRollingBack RolloutPhase = "RollingBack"
	RolloutSucceeded   RolloutPhase = "Succeeded"
	RolloutRolledBack  RolloutPhase = "RolledBack"
	RolloutCancelled   RolloutPhase = "Cancelled"
	RolloutFailed      RolloutPhase = "Failed"
)

type RolloutStatus struct {
	Phase       RolloutPhase `json:"phase"`
	Reason      string       `json:"reason,omitempty"`
	Step        string       `json:"step,omitempty"`
	Batch       *Batch       `json:"batch,omitempty"`
	Weights     Map[float64] `json:"weights"` // share of traffic in percent by version
	StartedAt   *time.Time   `json:"startedAt,omitempty"`
	EndedAt     *time.Time   `json:"endedAt,omitempty"`
	PausedUntil *time.Time   `json:"pausedUntil,omitempty"`
	// AwaitsPromotion: it is Paused until somebody promotes it.
	AwaitsPromotion bool `json:"awaitsPromotion,omitempty"`
	// Preview is where the new colour can be reached for now.
	Preview  string   `json:"preview,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	Report   Report   `json:"report"`

	// The rest is the engine's memory: whatever is interrupted goes on from it.

	FromModel Model `json:"fromModel"`
	ToModel   Model `json:"toModel"`
	// NewColour is the one brought up; OldColour the one that served before.
	NewColour Colour `json:"newColour,omitempty"`
	OldColour Colour `json:"oldColour,omitempty"`
	// PhaseSince is when Phase was entered, less the time it was paused; PausedFrom is the
	// phase that a pause returns to, PausedAfter how long that had lasted by then.
	PhaseSince  time.Time    `json:"phaseSince"`
	PausedFrom  RolloutPhase `json:"pausedFrom,omitempty"`
	PausedAfter Duration     `json:"pausedAfter,omitempty"`
	// Promoted: somebody let the traffic move.
	Promoted bool `json:"promoted,omitempty"`
	// Canary is the canary step that runs; nil: none has begun, or all are over.
	Canary *CanaryRun `json:"canary,omitempty"`
	// Analysis is what the gateway had counted when the window began by which the new
	// version is judged: a canary step's, or the bake.
	Analysis *AnalysisMark `json:"analysis,omitempty"`
	// Ask is what a user asked for and the engine has not yet done: cancel, rollback,
	// pause, resume or promote.
	Ask *Ask `json:"ask,omitempty"`
	// Outcome is the end that RollingBack leads to; MarkBad: the model is remembered as
	// bad; KeepFailed: the new colour is kept to look into.
	Outcome    RolloutPhase `json:"outcome,omitempty"`
	MarkBad    bool         `json:"markBad,omitempty"`
	KeepFailed bool         `json:"keepFailed,omitempty"`
	// Shifted is the last move of traffic; every gateway must confirm it.
	Shifted *Shift `json:"shifted,omitempty"`
	// Marks are the gateway's counters when a window began.
	Marks []TrafficMark `json:"marks,omitempty"`
	// Policy is the blue/green policy as it was when the rollout began.
	Policy            BlueGreenPolicy `json:"policy"`
	RollbackOnFailure bool            `json:"rollbackOnFailure"`
}

// Unpause forgets a pause that is over.
func (s *RolloutStatus) Unpause() {
	s.PausedFrom, s.PausedAfter, s.PausedUntil, s.AwaitsPromotion = "", 0, nil, false
}

type Ask struct {
	Action string    `json:"action"`
	For    Duration  `json:"for,omitempty"`
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at"`
}

// Shift is a move of traffic: the revision of the instances' writes, and when.
type Shift struct {
	Revision int64     `json:"revision"`
	At       time.Time `json:"at"`
	Back     bool      `json:"back,omitempty"` // to the old colour again
}

// CanaryRun is how far the canary steps are. Since is when the step's window began,
// less the time that it was paused; nil: the gateways have not confirmed it yet.
type CanaryRun struct {
	Step  int        `json:"step"` // of the policy's, from 0
	Since *time.Time `json:"since,omitempty"`
}

// AnalysisMark are both colours' counters when a window of analysis began, by the
// gateway's own clock.
type AnalysisMark struct {
	At          time.Time `json:"at"`
	Incarnation string    `json:"incarnation"`
	Old         Counters  `json:"old"`
	New         Counters  `json:"new"`
}

type Batch struct {
	N  int `json:"n"`
	Of int `json:"of"`
}

// Report is what a finished rollout is judged by.
type Report struct {
	Steps   List[StepReport]    `json:"steps"`
	Traffic List[TrafficReport] `json:"traffic"`
	Drains  List[DrainReport]   `json:"drains"`
}

type StepReport struct {
	Name      string     `json:"name"`
	StartedAt time.Time  `json:"startedAt"`
	EndedAt   *time.Time `json:"endedAt,omitempty"`
	Detail    string     `json:"detail,omitempty"`
}

// TrafficReport is a version's traffic in one window: before, during or after.
type TrafficReport struct {
	Version  string  `json:"version"`
	Window   string  `json:"window"`
	Requests uint64  `json:"requests"`
	Failed   uint64  `json:"failed"`
	Retried  uint64  `json:"retried"`
	Cut      uint64  `json:"cut"`
	Errors   uint64  `json:"errors"`
	P50Ms    float64 `json:"p50Ms"`
	P99Ms    float64 `json:"p99Ms"`
}

type DrainEnd string

const (
	DrainIdle    DrainEnd = "Idle"
	DrainTimeout DrainEnd = "Timeout"
	DrainDead    DrainEnd = "Dead"
)

// DrainReport is how the drain of one instance ended. InFlight is what was in flight when it began.
type DrainReport struct {
	Instance string   `json:"instance"`
	InFlight int      `json:"inFlight"`
	Ended    DrainEnd `json:"ended"`
}

// Counters are a version's cumulative figures since a gateway's incarnation began.
type Counters struct {
	Requests uint64 `json:"requests"`
	Failed   uint64 `json:"failed"`
	Retried  uint64 `json:"retried"`
	Cut      uint64 `json:"cut"`
	Errors   uint64 `json:"errors"`
	// Ended are streams that had their whole drain time and were closed in order.
	Ended uint64 `json:"ended,omitempty"`
	// Latency counts answers by bucket; see LatencyBucket.
	Latency map[int]uint64 `json:"latency,omitempty"`
}

// Plus are the sums of both.
func (c Counters) Plus(d Counters) Counters {
	c.Requests += d.Requests
	c.Failed += d.Failed
	c.Retried += d.Retried
	c.Cut += d.Cut
	c.Errors += d.Errors
	c.Ended += d.Ended
	if len(d.Latency) > 0 {
		sum := maps.Clone(c.Latency)
		if sum == nil {
			sum = map[int]uint64{}
		}
		for bucket, n := range d.Latency {
			sum[bucket] += n
		}
		c.Latency = sum
	}
	return c
}

// TrafficMark is a set's counters at one moment, tagged with the incarnation they belong to.
type TrafficMark struct {
	Window      string              `json:"window"`
	Incarnation string              `json:"incarnation"`
	ByVersion   map[string]Counters `json:"byVersion,omitempty"`
}
