package fleet

import (
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// A model is remembered as bad for what it did wrong, and not for what happened
// around it: a gateway that is not there, an old colour that does not go.
func TestOnlyTheModelsFaultIsRemembered(t *testing.T) {
	for _, test := range []struct {
		name  string
		phase resource.RolloutPhase
		after time.Duration
		sick  bool
		bad   bool
	}{
		{"a new instance is unhealthy", resource.RolloutStarting, 0, true, true},
		{"the new instances are not healthy in time", resource.RolloutStarting, 6 * time.Minute, false, true},
		{"a new instance fails while traffic moves", resource.RolloutShifting, 0, true, true},
		{"the gateway does not confirm the move", resource.RolloutShifting, time.Hour, false, false},
		{"the previous colour does not go", resource.RolloutPending, time.Hour, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := viewIn(test.phase, test.sick)
			v.Now = v.Now.Add(test.after)
			got := Decide(v).Rollout.Status
			if got.Phase != resource.RolloutRollingBack || got.Outcome != resource.RolloutRolledBack || got.MarkBad != test.bad {
				t.Errorf("it goes to %s and on to %s with MarkBad %t: %s", got.Phase, got.Outcome, got.MarkBad, got.Reason)
			}
		})
	}
}

// viewIn is a set of one that rolls to version 2.0.0, whose instance may be sick.
func viewIn(phase resource.RolloutPhase, sick bool) View {
	set := runningSet("web:1.0.0")
	set.Spec.Capacity = 1
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRollout(&set, resource.ModelOf(set.Spec, "web:2.0.0", digest(2), "2.0.0"), now)
	r.Status.Phase, r.Status.StartedAt = phase, &now
	if phase == resource.RolloutShifting {
		r.Status.Shifted = &resource.Shift{At: now}
	}
	old := resource.Instance{Meta: resource.Meta{Name: "web_0"}}
	old.Status = resource.InstanceStatus{Colour: r.Status.OldColour, Goal: resource.GoalRun, Health: resource.HealthHealthy}
	fresh := resource.Instance{Meta: resource.Meta{Name: "web_1"}}
	fresh.Status = resource.InstanceStatus{Colour: r.Status.NewColour, Goal: resource.GoalRun, Health: resource.HealthInitializing}
	if sick {
		fresh.Status.Health = resource.HealthUnhealthy
	}
	return View{Now: now, Set: set, Rollout: &r, Instances: []resource.Instance{old, fresh}}
}
