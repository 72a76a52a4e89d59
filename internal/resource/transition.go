package resource

import "slices"

// rolloutTransitions are the only ways from one phase to another. A phase that
// leads nowhere is an end. Paused leads back to the phase that was paused.
var rolloutTransitions = map[RolloutPhase][]RolloutPhase{
	RolloutPending:     {RolloutStarting, RolloutPaused, RolloutRollingBack, RolloutCancelled, RolloutFailed},
	RolloutStarting:    {RolloutValidating, RolloutShifting, RolloutUpgrading, RolloutPaused, RolloutRollingBack},
	RolloutValidating:  {RolloutShifting, RolloutPaused, RolloutRollingBack},
	RolloutShifting:    {RolloutBaking, RolloutPaused, RolloutRollingBack},
	RolloutUpgrading:   {RolloutBaking, RolloutPaused, RolloutRollingBack},
	RolloutBaking:      {RolloutFinishing, RolloutPaused, RolloutRollingBack},
	RolloutPaused:      {RolloutPending, RolloutStarting, RolloutValidating, RolloutShifting, RolloutUpgrading, RolloutBaking, RolloutRollingBack},
	RolloutFinishing:   {RolloutSucceeded, RolloutRollingBack, RolloutFailed},
	RolloutRollingBack: {RolloutRolledBack, RolloutCancelled, RolloutFailed},
	RolloutSucceeded:   nil,
	RolloutRolledBack:  nil,
	RolloutCancelled:   nil,
	RolloutFailed:      nil,
}

// Terminal reports whether the phase is an end: nothing leads out of it.
func (p RolloutPhase) Terminal() bool {
	next, known := rolloutTransitions[p]
	return known && len(next) == 0
}

// CanTransition reports whether a rollout may go from one phase to the other in one step.
func CanTransition(from, to RolloutPhase) bool { return slices.Contains(rolloutTransitions[from], to) }

// CheckTransition is CanTransition as an error, for every write of a rollout:
// staying in a phase is always allowed.
func CheckTransition(from, to RolloutPhase) error {
	if from == to || CanTransition(from, to) {
		return nil
	}
	if from.Terminal() {
		return Errorf(CodeInvalidPhase, "a rollout that ended in %s cannot become %s", from, to)
	}
	return Errorf(CodeInvalidPhase, "a rollout cannot go from %s to %s", from, to)
}
