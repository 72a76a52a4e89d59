package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

const canaryHold = 30 * time.Second

// canaryView is a set of one whose rollout has steps of 10 and 50 percent; its new
// instance is healthy.
func canaryView(phase resource.RolloutPhase) View {
	v := viewIn(phase, false)
	for i := range v.Instances {
		v.Instances[i].Status.Health = resource.HealthHealthy
	}
	v.Instances[0].Status.Admission = resource.AdmissionInService
	v.Instances[1].Status.Admission = resource.AdmissionOut
	s := &v.Rollout.Status
	s.RollbackOnFailure = true
	s.Policy.Canary = []resource.CanaryStep{{Percent: 10, Hold: resource.Duration(canaryHold)}, {Percent: 50, Hold: resource.Duration(canaryHold)}}
	v.Set.Status.Rollout = v.Rollout.Name
	return v
}

// inStep is within step n, whose window began at v.Now; the gateway's counters stood
// at nothing.
func inStep(n int) View {
	v := canaryView(resource.RolloutShifting)
	s := &v.Rollout.Status
	s.Canary = &resource.CanaryRun{Step: n, Since: new(v.Now)}
	s.Analysis = &resource.AnalysisMark{Incarnation: "first"}
	v.Set.Status.Weights = map[resource.Colour]int{s.OldColour: 100 - s.Policy.Canary[n].Percent, s.NewColour: s.Policy.Canary[n].Percent}
	v.Instances[1].Status.Admission = resource.AdmissionInService
	v.ShiftApplied = true
	return v
}

// tells has the gateway tell what it counted, after d.
func (v *View) tells(d time.Duration, old, fresh resource.Counters) {
	v.Now = v.Now.Add(d)
	s := &v.Rollout.Status
	v.Figures = &Figures{Incarnation: "first", At: v.Now, Current: true, ByColour: map[resource.Colour]map[string]resource.Counters{
		s.OldColour: {"1.0.0": old}, s.NewColour: {"2.0.0": fresh},
	}}
}

// The steps of a canary, one decision each.
func TestCanarySteps(t *testing.T) {
	const ms = time.Millisecond
	well := answers(1000, ms)
	type expect struct {
		phase resource.RolloutPhase
		step  int // -1: none
		share int // of the new colour
		moved bool
		says  string // the last step's line, or the reason
	}
	shifting, back := resource.RolloutShifting, resource.RolloutRollingBack
	for _, test := range []struct {
		name string
		view func() View
		want expect
	}{
		{"all are healthy", func() View { return canaryView(resource.RolloutStarting) }, expect{shifting, 0, 10, true, "canary 10 % for 30s"}},
		{"nobody has confirmed", func() View {
			v := inStep(0)
			v.Rollout.Status.Canary.Since, v.ShiftApplied = nil, false
			return v
		}, expect{shifting, 0, 10, false, ""}},
		{"nobody confirms in time", func() View {
			v := inStep(0)
			v.Rollout.Status.Canary.Since, v.ShiftApplied, v.Now = nil, false, v.Now.Add(confirmLimit)
			return v
		}, expect{back, -1, 0, true, "did not confirm"}},
		{"within the step", func() View { v := inStep(0); v.tells(canaryHold-1, well, well); return v }, expect{shifting, 0, 10, false, ""}},
		{"errors within the step", func() View { v := inStep(0); v.tells(time.Second, well, withErrors(well, 100, 0)); return v },
			expect{back, -1, 0, true, "version 2.0.0 at 10 % of the traffic: 100 of 1000"}},
		{"the new instance fails", func() View {
			v := inStep(0)
			v.tells(time.Second, well, well)
			v.Instances[1].Status.Health = resource.HealthUnhealthy
			return v
		}, expect{back, -1, 0, true, "web_1 is Unhealthy"}},
		{"its end, with figures of before", func() View { v := inStep(0); v.tells(canaryHold-1, well, well); v.Now = v.Now.Add(1); return v },
			expect{shifting, 0, 10, false, ""}},
		{"its end", func() View { v := inStep(0); v.tells(canaryHold, well, well); return v }, expect{shifting, 1, 50, true, "canary 50 % for 30s"}},
		{"its end, and no gateway tells", func() View { v := inStep(0); v.Now = v.Now.Add(canaryHold); return v }, expect{shifting, 0, 10, false, ""}},
		{"none for long", func() View { v := inStep(0); v.Now = v.Now.Add(canaryHold + confirmLimit); return v },
			expect{shifting, 1, 50, true, "canary 50 % for 30s"}},
		{"its end, too slow", func() View {
			v := inStep(1)
			v.Rollout.Status.Policy.MaxP99Ratio = new(2.0)
			v.tells(canaryHold, well, answers(1000, 10*ms))
			return v
		}, expect{back, -1, 0, true, "version 2.0.0 at 50 % of the traffic: its p99"}},
		{"inconclusive", func() View { v := inStep(0); v.tells(canaryHold, well, answers(3, ms)); return v }, expect{shifting, 1, 50, true, ""}},
		{"inconclusive, and that is not enough", func() View {
			v := inStep(0)
			v.Rollout.Status.Policy.RequireAnalysis = true
			v.tells(canaryHold, well, answers(3, ms))
			return v
		}, expect{back, -1, 0, true, "canary 10 % for 30s was inconclusive"}},
		{"the end of the last", func() View { v := inStep(1); v.tells(canaryHold, well, well); return v }, expect{shifting, -1, 100, true, "all traffic"}},
		{"its end, one still comes up", func() View {
			v := inStep(0)
			v.tells(canaryHold, well, well)
			v.Set.Spec.Capacity = 2
			return v
		}, expect{shifting, 0, 10, false, ""}},
		{"and does not in time", func() View {
			v := inStep(0)
			v.tells(canaryHold+v.Rollout.Status.Policy.StartTimeout.Std(), well, well)
			v.Set.Spec.Capacity = 2
			return v
		}, expect{back, -1, 0, true, "not all of the new instances were healthy"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := test.view()
			plan := Decide(v)
			s := plan.Rollout.Status
			got := expect{s.Phase, -1, plan.Set.Status.Weights[s.NewColour], plan.Shifted, test.want.says}
			if s.Canary != nil {
				got.step = s.Canary.Step
			}
			if got != test.want || !strings.Contains(s.Step+s.Reason, test.want.says) {
				t.Errorf("got %+v, want %+v; %s: %s", got, test.want, s.Step, s.Reason)
			}
			if plan.Again == 0 && !s.Phase.Terminal() {
				t.Error("nobody looks again")
			}
		})
	}
}

// What a step came to is said in the report, also when it goes on.
func TestStepSaysWhatItCameTo(t *testing.T) {
	for _, test := range []struct {
		fresh uint64
		says  string
		bad   bool
	}{
		{1000, "canary 10 % for 30s: 0.0% of 1000 requests failed", false},
		{3, "canary 10 % for 30s: Inconclusive: 3 requests to the new version are fewer than 100 (minSample)", false},
	} {
		v := inStep(0)
		v.Rollout.Status.Report.Steps = []resource.StepReport{{Name: "Shifting", Detail: "canary 10 % for 30s"}}
		v.tells(canaryHold, answers(1000, time.Millisecond), answers(test.fresh, time.Millisecond))
		if detail := Decide(v).Rollout.Status.Report.Steps[0].Detail; detail != test.says {
			t.Errorf("%q, want %q", detail, test.says)
		}
	}
}

// Too little traffic is not the model's fault; errors and slowness are.
func TestWhoIsToBlameForACanary(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		fresh resource.Counters
		bad   bool
	}{
		"errors":       {withErrors(answers(1000, ms), 500, 0), true},
		"slow":         {answers(1000, time.Second), true},
		"inconclusive": {answers(3, ms), false},
	} {
		v := inStep(0)
		v.Rollout.Status.Policy.MaxP99Ratio, v.Rollout.Status.Policy.RequireAnalysis = new(2.0), true
		v.tells(canaryHold, answers(1000, ms), test.fresh)
		if s := Decide(v).Rollout.Status; s.MarkBad != test.bad || s.Outcome != resource.RolloutRolledBack {
			t.Errorf("%s: MarkBad %t, it ends %s: %s", name, s.MarkBad, s.Outcome, s.Reason)
		}
	}
}

// A pause in a step takes nothing from its time.
func TestPauseWithinAStep(t *testing.T) {
	v := inStep(0)
	v.tells(10*time.Second, resource.Counters{}, resource.Counters{})
	v.Rollout.Status.Ask = &resource.Ask{Action: askPause}
	plan := Decide(v)
	if plan.Rollout.Status.Phase != resource.RolloutPaused || plan.Set.Status.Weights[plan.Rollout.Status.NewColour] != 10 {
		t.Fatalf("%s with weights %v", plan.Rollout.Status.Phase, plan.Set.Status.Weights)
	}
	v.Rollout, v.Set = plan.Rollout, plan.Set
	v.tells(time.Hour, answers(1000, time.Millisecond), answers(1000, time.Millisecond))
	if plan = Decide(v); plan.Rollout.Status.Phase != resource.RolloutPaused || plan.Shifted {
		t.Fatalf("it went on by itself to %s", plan.Rollout.Status.Phase)
	}
	v.Rollout.Status.Ask = &resource.Ask{Action: askResume}
	v.Rollout = Decide(v).Rollout
	if s := v.Rollout.Status; s.Phase != resource.RolloutShifting || s.Step != "resumed: canary 10 % for 30s" {
		t.Fatalf("%s: %s", s.Phase, s.Step)
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{canaryHold - 10*time.Second - 1, 0}, {1, 1}} {
		v.tells(step.after, answers(1000, time.Millisecond), answers(1000, time.Millisecond))
		if got := Decide(v).Rollout.Status.Canary.Step; got != step.want {
			t.Errorf("it is in step %d, want %d", got, step.want)
		}
	}
}

// A canary does not wait for an instance under notice of a reimage, or away for it, as
// long as others of its colour can serve.
func TestCanaryGoesOnWithoutWhoIsAway(t *testing.T) {
	for name, test := range map[string]struct {
		others, moved bool
	}{"another one serves": {true, true}, "nobody else does": {false, false}} {
		v := inStep(1)
		v.tells(canaryHold, answers(1000, time.Millisecond), answers(1000, time.Millisecond))
		v.Set.Spec.Capacity = 1
		if test.others {
			v.Set.Spec.Capacity = 2
			another, old := v.Instances[1], v.Instances[0]
			another.Name, old.Name = "web_2", "web_3"
			v.Instances = append(v.Instances, another, old)
		}
		s := &v.Instances[1].Status
		s.Admission, s.Health = resource.AdmissionOut, resource.HealthUnhealthy
		s.Operation = &resource.Operation{Action: resource.ActionReimage, At: v.Now, Started: new(v.Now), Released: new(v.Now)}
		s.Reimage = 1
		plan := Decide(v)
		if moved := plan.Rollout.Status.Canary == nil; moved != test.moved || plan.Rollout.Status.Phase != resource.RolloutShifting {
			t.Errorf("%s: it is %s, moved %t", name, plan.Rollout.Status.Phase, moved)
		}
		for _, in := range plan.Change {
			if in.Name == "web_1" && in.Status.Admission == resource.AdmissionInService {
				t.Errorf("%s: who is away takes traffic", name)
			}
		}
	}
}

// While a canary runs both colours serve, and whoever of the new one comes up is let in.
func TestBothColoursServeInACanary(t *testing.T) {
	v := inStep(0)
	v.Instances[0].Status.Admission, v.Instances[1].Status.Admission = resource.AdmissionOut, resource.AdmissionOut
	for _, in := range Decide(v).Change {
		if in.Status.Admission != resource.AdmissionInService {
			t.Errorf("%s is %s", in.Name, in.Status.Admission)
		}
	}
	if n := len(Decide(v).Change); n != 2 {
		t.Errorf("%d instances were let in, not 2", n)
	}
}

// Where no instance served before, the canary's must not be seen alone: in the order
// of their numbers it would have all of the traffic for a moment.
func TestCanaryComesIntoServiceAfterTheOldColour(t *testing.T) {
	v := canaryView(resource.RolloutStarting)
	old, fresh := &v.Instances[0], &v.Instances[1]
	old.Name, fresh.Name = fresh.Name, old.Name
	old.Status.Admission = resource.AdmissionOut
	change := Decide(v).Change
	if len(change) != 2 || change[0].Status.Colour != v.Rollout.Status.OldColour {
		t.Fatalf("written in this order: %+v", change)
	}
}
