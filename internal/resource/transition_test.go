package resource

import (
	"strings"
	"testing"
)

// Every pair of phases, row by row; anything not named here must be refused.
func TestRolloutTransitionsExhaustively(t *testing.T) {
	allowed := map[RolloutPhase]string{
		RolloutPending:     "Starting Paused RollingBack Cancelled Failed",
		RolloutStarting:    "Validating Shifting Upgrading Paused RollingBack",
		RolloutValidating:  "Shifting Paused RollingBack",
		RolloutShifting:    "Baking Paused RollingBack",
		RolloutUpgrading:   "Baking Paused RollingBack",
		RolloutBaking:      "Finishing Paused RollingBack",
		RolloutPaused:      "Pending Starting Validating Shifting Upgrading Baking RollingBack",
		RolloutFinishing:   "Succeeded RollingBack Failed",
		RolloutRollingBack: "RolledBack Cancelled Failed",
		RolloutSucceeded:   "",
		RolloutRolledBack:  "",
		RolloutCancelled:   "",
		RolloutFailed:      "",
	}
	for from, row := range allowed {
		for to := range allowed {
			want := strings.Contains(" "+row+" ", " "+string(to)+" ")
			if got := CanTransition(from, to); got != want {
				t.Errorf("%s → %s is %v, want %v", from, to, got, want)
			}
			err := CheckTransition(from, to)
			if (err == nil) != (want || from == to) || (err != nil && !IsCode(err, CodeInvalidPhase)) {
				t.Errorf("%s → %s checks as %v", from, to, err)
			}
		}
		if from.Terminal() != (row == "") {
			t.Errorf("%s is an end: %v", from, from.Terminal())
		}
		for _, to := range []RolloutPhase{"", "Done"} {
			if CheckTransition(from, to) == nil || CheckTransition(to, from) == nil {
				t.Errorf("%s and the unknown phase %q lead to each other", from, to)
			}
		}
	}
	if len(allowed) != len(rolloutTransitions) {
		t.Errorf("the table has %d phases, the test %d", len(rolloutTransitions), len(allowed))
	}
}

// Whatever happens there must be a way on: no phase is a trap.
func TestEveryPhaseLeadsToAnEnd(t *testing.T) {
	for start := range rolloutTransitions {
		seen, queue, ends := map[RolloutPhase]bool{}, []RolloutPhase{start}, false
		for len(queue) > 0 {
			p := queue[0]
			queue = queue[1:]
			if seen[p] {
				continue
			}
			seen[p] = true
			ends = ends || p.Terminal()
			queue = append(queue, rolloutTransitions[p]...)
		}
		if !ends {
			t.Errorf("from %s no end can be reached", start)
		}
	}
	if CanTransition(RolloutPaused, RolloutSucceeded) {
		t.Error("a pause may not be taken for a success")
	}
}
