package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

const noticeTime = 5 * time.Minute

// leavingView is a set of two that scales to one: web_1 is to go.
func leavingView(change func(*resource.InstanceStatus)) View {
	v := View{Set: runningSet("web:1.0.0"), Versions: versions("web"), Now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	v.Set.Spec.Capacity = 1
	v.Set.Spec.TerminateNotification = &resource.Notification{Enable: true, NotBeforeTimeout: resource.Duration(noticeTime)}
	for n := range 2 {
		s := resource.InstanceStatus{Set: "web", Colour: resource.Blue, Goal: resource.GoalRun, Health: resource.HealthHealthy, Admission: resource.AdmissionInService, Served: true}
		if n == 1 && change != nil {
			change(&s)
		}
		v.Instances = append(v.Instances, resource.Instance{Meta: resource.Meta{Name: resource.InstanceName("web", n)}, Status: s})
	}
	return v
}

// after is what becomes of web_1.
func after(v View) resource.InstanceStatus {
	s := v.Instances[1].Status
	for _, in := range Decide(v).Change {
		if in.Name == "web_1" {
			s = in.Status
		}
	}
	return s
}

// Who took traffic is told once and serves on; who never did is deleted at once.
func TestNoticeIsGiven(t *testing.T) {
	off := &resource.Notification{NotBeforeTimeout: resource.Duration(noticeTime)}
	for _, test := range []struct {
		name   string
		change func(*resource.InstanceStatus)
		policy *resource.Notification
		told   bool
		goal   resource.Goal
	}{
		{"it serves", nil, nil, true, resource.GoalRun},
		{"it does since an older Drover's time", func(s *resource.InstanceStatus) { s.Served = false }, nil, true, resource.GoalRun},
		{"it did", func(s *resource.InstanceStatus) { s.Admission = resource.AdmissionOut }, nil, true, resource.GoalRun},
		{"it never did", func(s *resource.InstanceStatus) { s.Admission, s.Served = resource.AdmissionOut, false }, nil, false, resource.GoalDelete},
		{"nobody is told", func(s *resource.InstanceStatus) { s.Admission = resource.AdmissionOut }, off, false, resource.GoalDelete},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := leavingView(test.change)
			if test.policy != nil {
				v.Set.Spec.TerminateNotification = test.policy
			}
			s := after(v)
			if (s.Notice != nil) != test.told || s.Goal != test.goal || s.Admission != v.Instances[1].Status.Admission {
				t.Fatalf("%+v", s)
			}
			plan := Decide(v)
			if told := plan.Set.Status.ScheduledEvents; test.told && (told.Incarnation != 2 || told.Events[0].Instance != "web_1" || told.Events[0].Status != resource.EventScheduled) {
				t.Errorf("the set's instances are told %+v", told)
			}
			if again := after(v); test.told && *again.Notice != *s.Notice {
				t.Errorf("deciding twice gives two notices: %+v and %+v", s.Notice, again.Notice)
			}
		})
	}
}

// told is what has happened since web_1 was told.
type told struct {
	after    time.Duration
	approved bool
	change   func(*View)
}

func toldView(o told) (View, resource.Notice) {
	v := leavingView(nil)
	v.Instances[1].Status = after(v)
	v.Set = Decide(v).Set
	n := *v.Instances[1].Status.Notice
	v.Now = v.Now.Add(o.after)
	if o.approved {
		v.Approved = map[string]time.Time{n.EventID: v.Now}
	}
	if o.change != nil {
		o.change(&v)
	}
	return v, n
}

// What ends a notice, and what doesn't.
func TestNoticeEnds(t *testing.T) {
	const in, out, draining = resource.AdmissionInService, resource.AdmissionOut, resource.AdmissionDraining
	sick := func(v *View) { v.Instances[1].Status.Health = resource.HealthUnhealthy }
	lonely := func(v *View) { v.Instances[0].Status.Health = resource.HealthUnhealthy }
	isOut := func(v *View) { v.Instances[1].Status.Admission = out }
	scaleOut := func(v *View) { v.Set.Spec.Capacity = 2 }
	switchOff := func(v *View) { v.Set.Spec.TerminateNotification = nil }
	deleted := func(v *View) { v.Set.Status.Deleting = &resource.Deleting{} }
	for _, test := range []struct {
		name      string
		told      told
		started   bool
		admission resource.Admission
		goal      resource.Goal
	}{
		{"nothing yet", told{time.Minute, false, nil}, false, in, resource.GoalRun},
		{"approved", told{time.Minute, true, nil}, true, draining, resource.GoalRun},
		{"its time has come", told{noticeTime, false, nil}, true, draining, resource.GoalRun},
		{"approved, and out already", told{time.Minute, true, isOut}, true, out, resource.GoalDelete},
		{"out already, not approved", told{time.Minute, false, isOut}, false, out, resource.GoalRun},
		{"it fails its probe", told{time.Minute, false, sick}, false, draining, resource.GoalRun},
		{"it is wanted again", told{time.Minute, false, scaleOut}, false, in, resource.GoalRun},
		{"it is wanted again too late", told{time.Minute, true, scaleOut}, true, draining, resource.GoalRun},
		{"notices are switched off", told{time.Minute, false, switchOff}, false, in, resource.GoalRun},
		{"the set is deleted", told{time.Minute, false, deleted}, false, in, resource.GoalRun},
		{"it is the last that serves", told{noticeTime, false, lonely}, false, in, resource.GoalRun},
		{"it is, for too long", told{noticeTime + lastLimit, false, lonely}, true, draining, resource.GoalRun},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, n := toldView(test.told)
			s := after(v)
			if (s.Notice.Started != nil) != test.started || s.Admission != test.admission || s.Goal != test.goal {
				t.Errorf("started %v, %s, goal %s", s.Notice.Started, s.Admission, s.Goal)
			}
			if s.Notice.EventID != n.EventID || !s.Notice.NotBefore.Equal(n.NotBefore) || (s.Notice.Approved != nil) != test.told.approved {
				t.Errorf("the notice became %+v", s.Notice)
			}
			if plan := Decide(v); !test.started && plan.Again == 0 {
				t.Error("nobody looks again")
			} else if made := len(plan.Create); made != max(0, v.Set.Spec.Capacity-1) && v.Set.Status.Deleting == nil {
				t.Errorf("%d instances made for a capacity of %d", made, v.Set.Spec.Capacity)
			}
			if v.Instances[1].Status.Notice.Started != nil {
				t.Error("the view was changed")
			}
		})
	}
}

// A rollout waits in Pending for the previous colour and says so; who goes back does not.
func TestPendingWaitsForNotices(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*View)
		phase  resource.RolloutPhase
		step   string
	}{
		{"under notice", nil, resource.RolloutPending, "1 instance of the previous colour under notice: until they approve, or 2030-01-01T00:05:00Z"},
		{"it drains", func(v *View) {
			s := &v.Instances[1].Status
			s.Notice.Started, s.Admission, s.DrainingSince = new(v.Now), resource.AdmissionDraining, new(v.Now)
		}, resource.RolloutPending, "under notice"},
		{"it goes, long after the rollout began", func(v *View) {
			s := &v.Instances[1].Status
			v.Now = v.Now.Add(retireLimit + noticeTime)
			s.Notice.Started, s.Goal = new(v.Now), resource.GoalDelete
		}, resource.RolloutPending, ""},
		{"it does not go", func(v *View) {
			s := &v.Instances[1].Status
			s.Notice.Started, s.Goal = new(v.Now), resource.GoalDelete
			v.Now = v.Now.Add(retireLimit)
		}, resource.RolloutRollingBack, "not gone in time"},
		{"it is gone", func(v *View) { v.Instances = v.Instances[:1] }, resource.RolloutStarting, ""},
		{"a rollback", func(v *View) { v.Rollout.Spec.RollbackOf = "web-0" }, resource.RolloutStarting, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := viewIn(resource.RolloutPending, false)
			old := &v.Instances[1].Status
			old.Health, old.Served, old.Admission = resource.HealthHealthy, true, resource.AdmissionOut
			old.Notice = &resource.Notice{EventID: "e", Type: resource.EventTerminate, Since: v.Now, NotBefore: v.Now.Add(noticeTime)}
			if test.change != nil {
				test.change(&v)
			}
			plan := Decide(v)
			s := plan.Rollout.Status
			if s.Phase != test.phase || !strings.Contains(s.Step, test.step) {
				t.Errorf("it is %s: %q", s.Phase, s.Step)
			}
			if same(*plan.Rollout, *Decide(v).Rollout) == false {
				t.Error("the same view gives two plans")
			}
			for _, in := range plan.Change {
				if in.Name == "web_1" && in.Status.Admission == resource.AdmissionInService {
					t.Error("it is called back")
				}
			}
		})
	}
}

// A rollback is over once its instances are drained, whatever notice they have.
func TestRollbackEndsWithoutNotices(t *testing.T) {
	v := bakingView(health(resource.HealthHealthy), health(resource.HealthUnhealthy))
	v.Set.Spec.TerminateNotification = &resource.Notification{Enable: true, NotBeforeTimeout: resource.Duration(noticeTime)}
	v.Instances[1].Status.Served = true
	for range 20 {
		plan := Decide(v)
		v.Set, v.Rollout, v.ShiftApplied = plan.Set, plan.Rollout, true
		v.Instances = written(v.Instances, plan.Change)
		v.Drains = map[string]Drain{"web_1": {Ended: resource.DrainIdle}}
		if v.Rollout.Status.Phase.Terminal() {
			break
		}
	}
	s, told := v.Rollout.Status, v.Instances[1].Status
	if s.Phase != resource.RolloutRolledBack || len(s.Report.Drains) != 1 || told.Notice == nil || told.Admission != resource.AdmissionOut || told.Goal != resource.GoalRun {
		t.Errorf("%s with drains %v, the new instance is %+v", s.Phase, s.Report.Drains, told)
	}
}

// All traffic moves in one write, also that of those under notice.
func TestShiftTakesThoseUnderNoticeOut(t *testing.T) {
	v := viewIn(resource.RolloutStarting, false)
	told := v.Instances[0]
	told.Name = "web_2"
	told.Status.Admission, told.Status.Notice = resource.AdmissionInService, &resource.Notice{Type: resource.EventTerminate, EventID: "e", NotBefore: v.Now.Add(noticeTime)}
	v.Instances[0].Status.Admission, v.Instances[1].Status.Health = resource.AdmissionInService, resource.HealthHealthy
	v.Instances = append(v.Instances, told)
	plan := Decide(v)
	if !plan.Shifted {
		t.Fatalf("it is %s: %s", plan.Rollout.Status.Phase, plan.Rollout.Status.Step)
	}
	for _, in := range written(v.Instances, plan.Change) {
		if serves := in.Status.Admission == resource.AdmissionInService; serves != (in.Name == "web_1") {
			t.Errorf("%s is %s", in.Name, in.Status.Admission)
		}
	}
}

// In a canary the new version's share does not grow because the last healthy instance
// of the old one is under notice.
func TestLastOfAColourStaysInACanary(t *testing.T) {
	for _, test := range []struct {
		name    string
		well    resource.Health // of the other instance of the old colour
		after   time.Duration
		started bool
	}{
		{"another one serves", resource.HealthHealthy, noticeTime, true},
		{"none does", resource.HealthUnhealthy, noticeTime, false},
		{"none does, for too long", resource.HealthUnhealthy, noticeTime + lastLimit, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := inStep(0)
			told := v.Instances[0]
			told.Name, told.Status.Notice = "web_2", &resource.Notice{Type: resource.EventTerminate, EventID: "e", NotBefore: v.Now.Add(noticeTime)}
			v.Instances[0].Status.Health = test.well
			v.Instances, v.Now = append(v.Instances, told), v.Now.Add(test.after)
			list := written(v.Instances, Decide(v).Change)
			if started := list[2].Status.Notice.Started != nil; started != test.started {
				t.Errorf("it leaves: %v", started)
			}
		})
	}
}

// The drain of those that had their notice before the rollout went back is part of it.
func TestWayBackWaitsForDrainsUnderNotice(t *testing.T) {
	for _, test := range []struct {
		admission resource.Admission
		want      resource.RolloutPhase
	}{
		{resource.AdmissionDraining, resource.RolloutRollingBack},
		{resource.AdmissionOut, resource.RolloutRolledBack},
	} {
		v := bakingView(health(resource.HealthHealthy), health(resource.HealthHealthy))
		s := &v.Rollout.Status
		s.Phase, s.Outcome, s.Shifted.Back = resource.RolloutRollingBack, resource.RolloutRolledBack, true
		told := &v.Instances[1].Status
		told.Admission, told.DrainingSince = test.admission, new(v.Now)
		told.Notice = &resource.Notice{Type: resource.EventTerminate, EventID: "e", NotBefore: v.Now.Add(noticeTime)}
		if got := Decide(v).Rollout.Status.Phase; got != test.want {
			t.Errorf("while it is %s the rollout is %s", test.admission, got)
		}
	}
}
