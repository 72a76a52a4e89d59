package fleet

import (
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Traffic goes back at once unless that would take it from instances that can
// serve to a colour that cannot.
func TestWayBack(t *testing.T) {
	const well, sick = resource.HealthHealthy, resource.HealthUnhealthy
	type expect struct {
		phase  resource.RolloutPhase
		back   bool            // the traffic has moved
		colour resource.Colour // the set's own
	}
	blue, green := resource.Blue, resource.Green
	for _, test := range []struct {
		name  string
		old   []resource.Health
		fresh []resource.Health
		after time.Duration // since it waits
		want  expect
	}{
		{"the old colour is well", health(well, well), health(well, sick), 0, expect{resource.RolloutRollingBack, true, blue}},
		{"one of the old is", health(sick, well), health(well, sick), 0, expect{resource.RolloutRollingBack, true, blue}},
		{"none is, on either side", health(sick, sick), health(sick, sick), 0, expect{resource.RolloutRollingBack, true, blue}},
		{"none of the old, one of the new is", health(sick, sick), health(well, sick), 0, expect{resource.RolloutRollingBack, false, blue}},
		{"still none", health(sick, sick), health(well, sick), time.Minute, expect{resource.RolloutRollingBack, false, blue}},
		{"then one of the old is", health(sick, well), health(well, sick), time.Minute, expect{resource.RolloutRollingBack, true, blue}},
		{"then none of the new is", health(sick, sick), health(sick, sick), time.Minute, expect{resource.RolloutRollingBack, true, blue}},
		{"none of the old in time", health(sick, sick), health(well, sick), time.Hour, expect{resource.RolloutFailed, false, green}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := bakingView(test.old, test.fresh)
			if test.after > 0 {
				first := Decide(bakingView(health(sick, sick), health(well, sick)))
				v.Rollout, v.Set, v.Now = first.Rollout, first.Set, v.Now.Add(test.after)
			}
			plan := Decide(v)
			s := plan.Rollout.Status
			if got := (expect{s.Phase, plan.Shifted, plan.Set.Status.Colour}); got != test.want {
				t.Errorf("got %+v, want %+v (%s)", got, test.want, s.Reason)
			}
			if s.Shifted.Back != plan.Shifted {
				t.Error("the move is not marked as the way back")
			}
			for _, in := range plan.Change {
				if !plan.Shifted && in.Status.Colour == green && in.Status.Admission != resource.AdmissionInService {
					t.Errorf("%s was taken out", in.Name)
				}
			}
		})
	}
}

// A new colour that is well but was never let in serves nobody: there is nothing to
// leave the traffic with.
func TestWayBackFromAColourThatServesNobody(t *testing.T) {
	v := bakingView(health(resource.HealthUnhealthy), health(resource.HealthHealthy))
	v.Instances[1].Status.Admission = resource.AdmissionOut
	v.Rollout.Status.Ask = &resource.Ask{Action: askRollback, By: "test", At: v.Now}
	if plan := Decide(v); !plan.Shifted || !plan.Rollout.Status.Shifted.Back {
		t.Errorf("it is %s (%s), and the traffic does not go back", plan.Rollout.Status.Phase, plan.Rollout.Status.Step)
	}
}

// A scale-in and out in the middle of a rollout leaves the old colour with instances
// that have not served yet: traffic goes back once as many can as serve now, or, in the
// end, to those that there are.
func TestWayBackToAColourThatGrows(t *testing.T) {
	const well, sick, starts = resource.HealthHealthy, resource.HealthUnhealthy, resource.HealthInitializing
	for _, test := range []struct {
		name       string
		old, fresh []resource.Health // of the old the first served, the others never did
		after      time.Duration     // since it waits
		want       bool
	}{
		{"one for three", health(well, starts, starts), health(well, well, well), 0, false},
		{"two for three", health(well, well, starts), health(well, well, well), time.Second, false},
		{"three for three", health(well, well, well), health(well, well, well), time.Second, true},
		{"one for the one that serves", health(well, starts, starts), health(well, sick, sick), 0, true},
		{"the first one failed, the others are ready", health(sick, well, well), health(well, well, well), 0, true},
		{"one for three in the end", health(well, starts, starts), health(well, well, well), time.Hour, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := bakingView(test.old, test.fresh)
			for i := range v.Instances[1:len(test.old)] {
				v.Instances[i+1].Status.Served = false
			}
			if test.after == 0 {
				v.Rollout.Status.Ask = &resource.Ask{Action: askRollback, By: "test", At: v.Now}
			} else {
				s := &v.Rollout.Status
				s.Phase, s.Outcome = resource.RolloutRollingBack, resource.RolloutRolledBack
				v.Now = v.Now.Add(test.after)
			}
			plan := Decide(v)
			if plan.Shifted != test.want {
				t.Errorf("the traffic goes back: %v (%s)", plan.Shifted, plan.Rollout.Status.Step)
			}
			for _, in := range plan.Change {
				if in.Status.Health == starts && in.Status.Admission != resource.AdmissionOut {
					t.Errorf("%s is %s and starts", in.Name, in.Status.Admission)
				}
			}
		})
	}
}

// A failure in the pass that also replaces an instance makes one, not two.
func TestWayBackReplacesOnce(t *testing.T) {
	v := bakingView(health(resource.HealthHealthy, resource.HealthHealthy), health(resource.HealthUnhealthy, resource.HealthHealthy))
	v.Instances = v.Instances[1:]
	if plan := Decide(v); len(plan.Create) != 1 {
		t.Errorf("%d instances for the one that is missing", len(plan.Create))
	}
}

// A drain may take longer than the bake: until it is over the rollout runs, and a
// new version that fails meanwhile is not the one to stay.
func TestFailureWhileTheOldColourDrains(t *testing.T) {
	const well, sick = resource.HealthHealthy, resource.HealthUnhealthy
	for _, test := range []struct {
		name     string
		fresh    []resource.Health
		rollback bool // the rollout is one
		want     resource.RolloutPhase
	}{
		{"all are well", health(well, well), false, resource.RolloutSucceeded},
		{"one fails", health(well, sick), false, resource.RolloutRollingBack},
		{"all fail", health(sick, sick), false, resource.RolloutRollingBack},
		{"a rollback stays", health(well, sick), true, resource.RolloutSucceeded},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := bakingView(health(well, well), test.fresh)
			v.Rollout.Status.Phase = resource.RolloutFinishing
			if test.rollback {
				v.Rollout.Spec.RollbackOf = "web-1"
			}
			plan := Decide(v)
			s := plan.Rollout.Status
			if s.Phase != test.want {
				t.Fatalf("it is %s (%s), want %s", s.Phase, s.Reason, test.want)
			}
			if back := test.want == resource.RolloutRollingBack; plan.Shifted != back || s.MarkBad != back {
				t.Errorf("traffic has moved: %v, the model is bad: %v, want %v", plan.Shifted, s.MarkBad, back)
			}
		})
	}
}

func health(h ...resource.Health) []resource.Health { return h }

// bakingView is a set of two whose green colour has the traffic since a moment.
func bakingView(old, fresh []resource.Health) View {
	v := viewIn(resource.RolloutBaking, false)
	v.Set.Spec.Capacity = len(old)
	v.Set.Status.Colour, v.Rollout.Status.OldColour, v.Rollout.Status.NewColour = resource.Blue, resource.Blue, resource.Green
	v.Rollout.Status.RollbackOnFailure = true
	v.Rollout.Status.Shifted, v.Rollout.Status.PhaseSince, v.ShiftApplied = &resource.Shift{Revision: 1, At: v.Now}, v.Now, true
	v.Instances = nil
	add := func(c resource.Colour, a resource.Admission, list []resource.Health) {
		for _, h := range list {
			in := resource.Instance{Meta: resource.Meta{Name: resource.InstanceName("web", len(v.Instances))}}
			in.Status = resource.InstanceStatus{Colour: c, Goal: resource.GoalRun, Health: h, Admission: a, Served: true}
			v.Instances = append(v.Instances, in)
		}
	}
	add(resource.Blue, resource.AdmissionOut, old)
	add(resource.Green, resource.AdmissionInService, fresh)
	return v
}

// On the way back those that have served are let in at once, and not one that was
// made meanwhile and has not passed its validation.
func TestWayBackValidatesWhatIsNew(t *testing.T) {
	const well, sick = resource.HealthHealthy, resource.HealthUnhealthy
	for _, test := range []struct {
		name     string
		served   bool // by the other instance of the old colour
		passed   *bool
		let, all bool
	}{
		{"not asked yet", true, nil, false, true},
		{"refused", true, new(false), false, true},
		{"passed", true, new(true), true, true},
		{"nobody has served", false, new(false), false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := bakingView(health(well, well), health(well, sick))
			for i := range 2 {
				s := &v.Instances[i].Status
				s.StartedAt, s.Validate = new(v.Now), &resource.Validation{Path: "/selftest", Expect: 200}
				s.Served = i == 0 && test.served
			}
			if test.passed != nil {
				v.Instances[1].Status.Validated = &resource.Validated{StartedAt: v.Now, Passed: *test.passed}
			}
			plan := Decide(v)
			list := written(v.Instances, plan.Change)
			if let := list[1].Status.Admission == resource.AdmissionInService; let != test.let {
				t.Errorf("it is let in: %v", let)
			}
			if plan.Shifted != test.all || plan.Shifted != (list[0].Status.Admission == resource.AdmissionInService) {
				t.Errorf("the traffic went back: %v, to %s", plan.Shifted, list[0].Status.Admission)
			}
		})
	}
}
