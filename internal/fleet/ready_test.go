package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// readyView is a set of one whose new instance is healthy, with that policy.
func readyView(phase resource.RolloutPhase, change func(*resource.BlueGreenPolicy)) View {
	v := canaryView(phase)
	s := &v.Rollout.Status
	s.Policy.Canary = nil
	change(&s.Policy)
	started := v.Now.Add(-time.Minute)
	v.Instances[1].Status.StartedAt, v.Instances[1].Status.Validate = &started, s.Policy.Validate
	return v
}

func manually(p *resource.BlueGreenPolicy) { p.Promotion = resource.PromotionManual }

func validated(p *resource.BlueGreenPolicy) {
	p.Validate = &resource.Validation{Path: "/selftest", Expect: 200, Timeout: resource.Duration(10 * time.Second)}
}

// The whole wait for a promotion: nobody gives it, and 24 hours later it is over.
func TestPromotionNeverGiven(t *testing.T) {
	v := readyView(resource.RolloutStarting, manually)
	for _, step := range []struct {
		after time.Duration
		want  resource.RolloutPhase
	}{
		{0, resource.RolloutPaused}, {time.Hour, resource.RolloutPaused}, {23*time.Hour - 1, resource.RolloutPaused}, {1, resource.RolloutRollingBack},
	} {
		v.Now = v.Now.Add(step.after)
		plan := Decide(v)
		s := plan.Rollout.Status
		if s.Phase != step.want || s.AwaitsPromotion != (step.want == resource.RolloutPaused) {
			t.Fatalf("after %s it is %s", step.after, s.Phase)
		}
		for _, in := range plan.Change {
			if in.Status.Colour == s.NewColour && in.Status.Admission != resource.AdmissionOut {
				t.Errorf("%s is %s", in.Name, in.Status.Admission)
			}
		}
		v.Rollout, v.Set = plan.Rollout, plan.Set
	}
	if s := v.Rollout.Status; s.Outcome != resource.RolloutCancelled || s.MarkBad || s.Reason != "not promoted in time" {
		t.Errorf("it ends %s, MarkBad %t: %s", s.Outcome, s.MarkBad, s.Reason)
	}
}

func TestPromotion(t *testing.T) {
	v := readyView(resource.RolloutStarting, manually)
	if err := mayAsk(*v.Rollout, askPromote); err == nil {
		t.Error("it was promoted before it waits for that")
	}
	v.Rollout = Decide(v).Rollout
	for action, allowed := range map[string]bool{askPromote: true, askResume: false, askPause: true, askCancel: true, askRollback: true} {
		if err := mayAsk(*v.Rollout, action); (err == nil) != allowed {
			t.Errorf("%s: %v", action, err)
		}
	}
	v.Rollout.Status.Ask = &resource.Ask{Action: askPause, For: resource.Duration(100 * time.Hour)}
	if until := Decide(v).Rollout.Status.PausedUntil; until.Sub(v.Now) != defaultPause {
		t.Errorf("it waits for %s", until.Sub(v.Now))
	}
	v.Now = v.Now.Add(20 * time.Hour) // longer than startTimeout
	v.Rollout.Status.Ask = &resource.Ask{Action: askPromote, By: "somebody"}
	v.Rollout = Decide(v).Rollout
	if s := v.Rollout.Status; s.Phase != resource.RolloutStarting || s.AwaitsPromotion || s.PausedUntil != nil || s.Step != "promoted by somebody" {
		t.Fatalf("%s: %s, until %v", s.Phase, s.Step, s.PausedUntil)
	}
	if plan := Decide(v); plan.Rollout.Status.Phase != resource.RolloutShifting || !plan.Shifted {
		t.Errorf("it goes on to %s", plan.Rollout.Status.Phase)
	}
}

// What waits for a promotion is watched.
func TestFailureWhileAPromotionIsAwaited(t *testing.T) {
	v := readyView(resource.RolloutStarting, manually)
	v.Rollout = Decide(v).Rollout
	v.Instances[1].Status.Health = resource.HealthUnhealthy
	if s := Decide(v).Rollout.Status; s.Phase != resource.RolloutRollingBack || !s.MarkBad {
		t.Errorf("%s, MarkBad %t", s.Phase, s.MarkBad)
	}
}

func TestValidating(t *testing.T) {
	for _, test := range []struct {
		name    string
		answer  *Validation
		of      time.Duration // another process: its start
		after   time.Duration
		starts  bool // an instance is not healthy yet
		phase   resource.RolloutPhase
		moved   bool
		says    string
		mustBad bool
	}{
		{name: "nothing is known", phase: resource.RolloutValidating},
		{name: "it passed", answer: &Validation{}, phase: resource.RolloutShifting, moved: true},
		{name: "it failed", answer: &Validation{Error: "GET /selftest answered 500, not 200"}, phase: resource.RolloutRollingBack, says: "web_1 failed its validation: GET /selftest answered 500", mustBad: true},
		{name: "an earlier process passed", answer: &Validation{}, of: -time.Hour, phase: resource.RolloutValidating},
		{name: "an earlier process failed", answer: &Validation{Error: "no"}, of: -time.Hour, phase: resource.RolloutValidating},
		{name: "nobody ever tells", after: 5*time.Minute + 10*time.Second, phase: resource.RolloutRollingBack, says: "the gateway did not validate"},
		{name: "one never comes up", after: 5*time.Minute + 10*time.Second, starts: true, phase: resource.RolloutRollingBack, says: "healthy", mustBad: true},
		{name: "late, but in time", answer: &Validation{}, after: 5 * time.Minute, phase: resource.RolloutShifting, moved: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := readyView(resource.RolloutValidating, validated)
			if test.starts {
				v.Instances[1].Status.Health = resource.HealthInitializing
			}
			if test.answer != nil {
				test.answer.StartedAt = v.Instances[1].Status.StartedAt.Add(test.of)
				v.Validations = map[string]Validation{"web_1": *test.answer}
			}
			v.Now = v.Now.Add(test.after)
			plan := Decide(v)
			s := plan.Rollout.Status
			if s.Phase != test.phase || plan.Shifted != test.moved || s.MarkBad != test.mustBad || !strings.Contains(s.Reason, test.says) {
				t.Errorf("%s, moved %t, MarkBad %t: %s", s.Phase, plan.Shifted, s.MarkBad, s.Reason)
			}
		})
	}
}

// Before the traffic moves: validation, then promotion, then the canary.
func TestOrderOfWhatComesBeforeTraffic(t *testing.T) {
	v := readyView(resource.RolloutStarting, func(p *resource.BlueGreenPolicy) {
		manually(p)
		validated(p)
		p.Canary = []resource.CanaryStep{{Percent: 10, Hold: resource.Duration(canaryHold)}}
		p.Preview = &resource.Preview{Listen: "127.0.0.1:8081"}
	})
	preview := func(there bool) {
		t.Helper()
		if p := v.Set.Status.Preview; (p != nil) != there || there && (p.Colour != v.Rollout.Status.NewColour || p.Listen != "127.0.0.1:8081") {
			t.Errorf("in %s the preview is %+v", v.Rollout.Status.Phase, p)
		}
	}
	next := func(want resource.RolloutPhase) {
		t.Helper()
		plan := Decide(v)
		v.Rollout, v.Set = plan.Rollout, plan.Set
		for _, in := range plan.Change {
			v.Instances[1] = in
		}
		if v.Rollout.Status.Phase != want {
			t.Fatalf("%s, want %s", v.Rollout.Status.Phase, want)
		}
	}
	next(resource.RolloutValidating)
	preview(true)
	v.Validations = map[string]Validation{"web_1": {StartedAt: *v.Instances[1].Status.StartedAt}}
	next(resource.RolloutPaused)
	preview(true)
	v.Preview = &Preview{Problem: "cannot listen on 127.0.0.1:8081: address already in use"}
	next(resource.RolloutPaused)
	if w := v.Rollout.Status.Warnings; len(w) != 1 || w[0] != "the preview cannot listen on 127.0.0.1:8081: address already in use" {
		t.Errorf("it warns %q", w)
	}
	v.Preview = &Preview{Address: "127.0.0.1:8081"}
	next(resource.RolloutPaused)
	if s := v.Rollout.Status; len(s.Warnings) != 0 || s.Preview != "127.0.0.1:8081" {
		t.Errorf("it warns %q, the preview is at %q", s.Warnings, s.Preview)
	}
	v.Rollout.Status.Ask = &resource.Ask{Action: askPromote}
	next(resource.RolloutValidating)
	next(resource.RolloutShifting)
	preview(false)
	if s := v.Rollout.Status; s.Preview != "" || s.Weights["2.0.0"] != 10 || s.Weights["1.0.0"] != 90 {
		t.Errorf("preview %q, weights %v", s.Preview, s.Weights)
	}
}

// A rollback goes back to what has served: nothing is asked, tried or waited for.
func TestARollbackTakesNoFineSteps(t *testing.T) {
	set := runningSet("web:2.0.0")
	p := &set.Spec.UpgradePolicy.BlueGreen
	manually(p)
	validated(p)
	p.Preview, p.Canary = &resource.Preview{Listen: "127.0.0.1:0"}, []resource.CanaryStep{{Percent: 10, Hold: 1}}
	old := newRollout(&set, *set.Status.Model, time.Unix(1e9, 0))
	got := newRollback(&set, old, time.Unix(1e9, 0)).Status.Policy
	if got.Promotion == resource.PromotionManual || got.Validate != nil || got.Preview != nil || got.Canary != nil {
		t.Errorf("%+v", got)
	}
}

// Without a rollout, an instance that fails its validation takes no traffic and the
// set says so; what is asked follows the spec.
func TestValidationOutsideOfARollout(t *testing.T) {
	ask := &resource.Validation{Path: "/selftest", Expect: 200}
	for _, test := range []struct {
		name      string
		spec, has *resource.Validation
		answer    string // empty: it passed
		known     bool
		want      resource.Admission
		says      bool
		asked     *resource.Validation
	}{
		{"nothing is asked", nil, nil, "", false, resource.AdmissionInService, false, nil},
		{"nothing is known", ask, ask, "", false, resource.AdmissionOut, false, ask},
		{"it passed", ask, ask, "", true, resource.AdmissionInService, false, ask},
		{"it failed under notice", ask, ask, "no", true, resource.AdmissionOut, false, ask},
		{"it failed", ask, ask, "GET /selftest answered 500, not 200", true, resource.AdmissionOut, true, ask},
		{"it is asked from now on", ask, nil, "", false, resource.AdmissionOut, false, ask},
		{"it failed what is not asked any more", nil, ask, "no", true, resource.AdmissionInService, false, nil},
		{"it failed what was asked before", ask, &resource.Validation{Path: "/old", Expect: 200}, "no", true, resource.AdmissionOut, false, ask},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := View{Now: time.Unix(1e9, 0), Set: runningSet("web:1.0.0"), Versions: versions("web")}
			v.Set.Spec.Capacity, v.Set.Spec.UpgradePolicy.BlueGreen.Validate = 1, test.spec
			started := v.Now.Add(-time.Minute)
			in := resource.Instance{Meta: resource.Meta{Name: "web_0"}}
			in.Status = state(resource.HealthHealthy, resource.AdmissionOut)
			in.Status.Colour, in.Status.Goal, in.Status.StartedAt, in.Status.Validate = resource.Blue, resource.GoalRun, &started, test.has
			if strings.Contains(test.name, "under notice") {
				in.Status.Notice = &resource.Notice{Type: resource.EventTerminate, EventID: "e", NotBefore: v.Now.Add(noticeTime)}
			}
			if test.known {
				v.Validations = map[string]Validation{"web_0": {StartedAt: started, Error: test.answer}}
			}
			v.Instances = []resource.Instance{in}
			plan := Decide(v)
			for _, changed := range plan.Change {
				in = changed
			}
			if c := resource.FindCondition(plan.Set.Status.Conditions, resource.ConditionValidationFailed); (c != nil) != test.says {
				t.Errorf("the set says %+v", c)
			}
			if in.Status.Admission != test.want || in.Status.Validate != test.asked {
				t.Errorf("it is %s and asked %+v", in.Status.Admission, in.Status.Validate)
			}
		})
	}
}
