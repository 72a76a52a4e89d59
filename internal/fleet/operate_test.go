package fleet

import (
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// operatedView is a set of two that serve; of web_1 something was asked just now.
func operatedView(action resource.Action) View {
	v := leavingView(nil)
	v.Set.Spec.Capacity = 2
	v.Set.Spec.ReimageNotification = v.Set.Spec.TerminateNotification
	op := &v.Instances[1].Status.Operation
	*op = &resource.Operation{Action: action, At: v.Now}
	return v
}

// awayView is operatedView with web_1 out of service and its old process being ended.
func awayView(action resource.Action) View {
	v := operatedView(action)
	s := &v.Instances[1].Status
	s.Admission, s.Health, s.StartedAt = resource.AdmissionOut, resource.HealthInitializing, new(v.Now.Add(-time.Hour))
	s.Operation.Started, s.Operation.Released = new(v.Now), new(v.Now)
	s.Restart, s.Reimage = 1, 1
	return v
}

// renewed is what compute reports of the new process.
func renewed(s *resource.InstanceStatus, now time.Time, h resource.Health) {
	s.Restarted, s.Reimaged, s.StartedAt, s.Health = s.Restart, s.Reimage, new(now), h
}

const (
	isIn       = resource.AdmissionInService
	isDraining = resource.AdmissionDraining
	isOut      = resource.AdmissionOut
)

func toldOf(v *View) {
	v.Instances[1].Status.Notice = reimageNotice(v.Set.Spec, v.Instances[1], v.Now)
}

// outOf has it out of service, and the gateways may not know.
func outOf(v *View) {
	s := &v.Instances[1].Status
	s.Admission, s.Operation.Started, s.Notice.Started = isOut, new(v.Now), new(v.Now)
}

func drainOf(ended resource.DrainEnd) func(*View) {
	return func(v *View) {
		s := &v.Instances[1].Status
		s.Admission, s.DrainingSince, s.Operation.Started = isDraining, new(v.Now), new(v.Now)
		v.Drains = map[string]Drain{"web_1": {Ended: ended}}
	}
}

var takenOut = []struct {
	name    string
	action  resource.Action
	changes []func(*View)
	want    resource.Admission
	begun   bool
	asked   int // of compute
}{
	{"it serves", resource.ActionRestart, nil, isDraining, true, 0},
	{"its drain lasts", resource.ActionRestart, []func(*View){drainOf("")}, isDraining, true, 0},
	{"its drain is over", resource.ActionRestart, []func(*View){drainOf(resource.DrainIdle)}, isOut, true, 1},
	{"it has no traffic", resource.ActionReimage, []func(*View){func(v *View) { v.Instances[1].Status.Admission = isOut }}, isOut, true, 1},
	{"its drain is over, and its event is shown", resource.ActionReimage, []func(*View){toldOf, outOf}, isOut, true, 0},
	{"its drain is over, and its event is hidden", resource.ActionReimage, []func(*View){toldOf, outOf, func(v *View) {
		v.Hidden = map[string]bool{"web_1": true}
	}}, isOut, true, 1},
	{"its event is shown for too long", resource.ActionReimage, []func(*View){toldOf, outOf, func(v *View) {
		v.Now = v.Now.Add(confirmLimit + v.DrainTimeout)
	}}, isOut, true, 1},
	{"it was told", resource.ActionReimage, []func(*View){toldOf}, isIn, false, 0},
	{"it says that it won't", resource.ActionReimage, []func(*View){toldOf, func(v *View) { v.Instances[1].Status.Health = resource.HealthUnhealthy }}, isDraining, false, 0},
	{"it approved", resource.ActionReimage, []func(*View){toldOf, func(v *View) {
		v.Approved = map[string]time.Time{v.Instances[1].Status.Notice.EventID: v.Now}
	}}, isDraining, true, 0},
	{"its time has come", resource.ActionReimage, []func(*View){toldOf, func(v *View) { v.Now = v.Now.Add(noticeTime) }}, isDraining, true, 0},
	{"nobody else is well", resource.ActionRestart, []func(*View){other(resource.HealthUnhealthy)}, isIn, false, 0},
	{"nobody else is, for too long", resource.ActionRestart, []func(*View){other(resource.HealthUnhealthy), func(v *View) { v.Now = v.Now.Add(lastLimit) }}, isDraining, true, 0},
	{"there is nobody else", resource.ActionRestart, []func(*View){func(v *View) {
		v.Instances, v.Set.Spec.Capacity = v.Instances[1:], 1
	}}, isDraining, true, 0},
	{"it is to go", resource.ActionDelete, []func(*View){func(v *View) { v.Set.Spec.Capacity, v.Set.Spec.TerminateNotification = 1, nil }}, isDraining, false, 0},
	{"it is to go and nobody else is well", resource.ActionDelete, []func(*View){other(resource.HealthUnhealthy), func(v *View) { v.Set.Spec.Capacity = 1 }}, isIn, false, 0},
}

// The process is ended once the drain is over, and not before; a notice comes first.
func TestOperationTakesOutOfService(t *testing.T) {
	for _, test := range takenOut {
		t.Run(test.name, func(t *testing.T) {
			v := operatedView(test.action)
			for _, change := range test.changes {
				change(&v)
			}
			before := clone(v.Instances[len(v.Instances)-1])
			plan := Decide(v)
			s := written(v.Instances, plan.Change)[len(v.Instances)-1].Status
			if s.Admission != test.want || (s.Operation.Started != nil) != test.begun || s.Restart+s.Reimage != test.asked || s.Goal != resource.GoalRun {
				t.Errorf("%s, operation %+v, restart %d, reimage %d", s.Admission, s.Operation, s.Restart, s.Reimage)
			}
			if s.Notice != nil && s.Notice.Type == resource.EventRedeploy && (s.Notice.Started != nil) != test.begun {
				t.Errorf("the notice is %+v", s.Notice)
			}
			if len(plan.Create) > 0 {
				t.Errorf("%d new instances are made", len(plan.Create))
			}
			if !same(v.Instances[len(v.Instances)-1], before) {
				t.Error("the view was changed")
			}
			if s.Admission == isIn && plan.Again == 0 {
				t.Error("nobody looks again")
			}
		})
	}
}

// other makes the other instance's health this.
func other(h resource.Health) func(*View) {
	return func(v *View) { v.Instances[0].Status.Health = h }
}

var selftest = &resource.Validation{Path: "/selftest"}

var ends = []struct {
	name   string
	change func(v *View, s *resource.InstanceStatus)
	over   bool
	want   resource.Admission
}{
	{"the old process still answers", func(_ *View, s *resource.InstanceStatus) { s.Health = resource.HealthHealthy }, false, isOut},
	{"the new one starts", func(v *View, s *resource.InstanceStatus) { renewed(s, v.Now, resource.HealthInitializing) }, false, isOut},
	{"it is well", func(v *View, s *resource.InstanceStatus) { renewed(s, v.Now, resource.HealthHealthy) }, true, isIn},
	{"it is well and was not validated", func(v *View, s *resource.InstanceStatus) {
		renewed(s, v.Now, resource.HealthHealthy)
		s.Validate, s.Validated = selftest, &resource.Validated{StartedAt: v.Now.Add(-time.Hour), Passed: true}
		v.Set.Spec.UpgradePolicy.BlueGreen.Validate = selftest
	}, false, isOut},
	{"it was validated", func(v *View, s *resource.InstanceStatus) {
		renewed(s, v.Now, resource.HealthHealthy)
		s.Validate = selftest
		v.Set.Spec.UpgradePolicy.BlueGreen.Validate = selftest
		v.Validations = map[string]Validation{"web_1": {StartedAt: v.Now, At: v.Now}}
	}, true, isIn},
	{"it was refused", func(v *View, s *resource.InstanceStatus) {
		renewed(s, v.Now, resource.HealthHealthy)
		s.Validate = selftest
		v.Set.Spec.UpgradePolicy.BlueGreen.Validate = selftest
		v.Validations = map[string]Validation{"web_1": {StartedAt: v.Now, At: v.Now, Error: "no"}}
	}, true, isOut},
	{"it is not well, and has some of its time left", func(v *View, s *resource.InstanceStatus) {
		renewed(s, v.Now, resource.HealthUnhealthy)
	}, false, isOut},
	{"it is not well in its time", func(v *View, s *resource.InstanceStatus) {
		renewed(s, v.Now, resource.HealthUnhealthy)
		v.Now = v.Now.Add(time.Minute)
	}, true, isOut},
	{"it does not even start", func(v *View, s *resource.InstanceStatus) {
		s.Health = resource.HealthUnhealthy
		v.Now = v.Now.Add(renewLimit)
	}, false, isOut},
	{"it does not even start in time", func(v *View, s *resource.InstanceStatus) {
		s.Health = resource.HealthHealthy
		v.Now = v.Now.Add(renewLimit + time.Minute)
	}, true, isOut},
	{"its colour is kept, and takes no traffic", func(v *View, s *resource.InstanceStatus) {
		renewed(s, v.Now, resource.HealthHealthy)
		s.Colour = resource.Green
		v.Set.Status.Previous = &resource.Previous{Colour: resource.Green, Model: *v.Set.Status.Model, Until: v.Now.Add(time.Hour)}
	}, true, isOut},
}

// It takes traffic again in the write that ends the operation and its notice, and not
// before its own process is well.
func TestOperationEnds(t *testing.T) {
	for _, test := range ends {
		t.Run(test.name, func(t *testing.T) {
			v := awayView(resource.ActionReimage)
			s := &v.Instances[1].Status
			s.Notice = &resource.Notice{EventID: "e", Type: resource.EventRedeploy, NotBefore: v.Now, Started: new(v.Now)}
			test.change(&v, s)
			plan := Decide(v)
			got := written(v.Instances, plan.Change)[1].Status
			if (got.Operation == nil) != test.over || (got.Notice == nil) != test.over || got.Admission != test.want {
				t.Errorf("%s with %+v, notice %+v", got.Admission, got.Operation, got.Notice)
			}
			if plan.Set.Status.Told() == test.over {
				t.Errorf("events are told: %v", !test.over)
			}
			if !test.over && plan.Again == 0 {
				t.Error("nobody looks again")
			}
		})
	}
}

// What is asked of an instance is no fault of the version that it runs.
func TestNoVersionIsBlamedForAnOperation(t *testing.T) {
	for name, v := range map[string]View{
		"while it starts": viewIn(resource.RolloutStarting, false),
		"while it bakes":  bakingView(health(resource.HealthHealthy), health(resource.HealthUnhealthy)),
	} {
		t.Run(name, func(t *testing.T) {
			s := &v.Instances[1].Status
			s.Health, s.Restart = resource.HealthUnhealthy, 1
			s.Operation = &resource.Operation{Action: resource.ActionRestart, At: v.Now, Started: new(v.Now), Released: new(v.Now)}
			before := v.Rollout.Status.Phase
			if name == "while it starts" {
				v.Now = v.Now.Add(v.Rollout.Status.Policy.StartTimeout.Std() + time.Second)
				s.Operation.Released = new(v.Now)
			}
			if after := Decide(v).Rollout.Status; after.Phase != before {
				t.Errorf("it went from %s to %s: %s", before, after.Phase, after.Reason)
			}
			s.Operation = nil
			if after := Decide(v).Rollout.Status; after.Phase != resource.RolloutRollingBack {
				t.Errorf("when that is over it is still %s", after.Phase)
			}
		})
	}
}

// A deletion of what is restarted calls the restart off, its notice included.
func TestDeletionSupersedes(t *testing.T) {
	v := awayView(resource.ActionReimage)
	s := &v.Instances[1].Status
	s.Notice = &resource.Notice{EventID: "e", Type: resource.EventRedeploy, NotBefore: v.Now.Add(noticeTime)}
	v.Set.Spec.Capacity = 1
	got := after(v)
	if !got.Terminating() || got.Notice.EventID == "e" || got.Operation != nil || !got.Renewed() {
		t.Errorf("under notice it is left with %+v, %+v, renewed %t", got.Notice, got.Operation, got.Renewed())
	}
	v.Set.Spec.TerminateNotification = nil
	if got := after(v); got.Goal != resource.GoalDelete || got.Notice != nil {
		t.Errorf("without one it is left with goal %s, %+v", got.Goal, got.Notice)
	}
}
