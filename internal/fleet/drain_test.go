package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// An instance is deleted once its drain has ended. When no gateway tells, the set
// says so, and the wait has an end.
func TestDrainThatNobodyConfirms(t *testing.T) {
	const drainTimeout = 30 * time.Second
	for _, why := range []struct {
		name  string
		leave func(*View)
	}{
		{"the set is deleted", func(v *View) { v.Set.Status.Deleting = &resource.Deleting{} }},
		{"it scales in", func(v *View) { v.Set.Spec.Capacity = 0 }},
		{"its colour is retired", func(v *View) { v.Set.Status.Colour = resource.Green }},
	} {
		for _, test := range []struct {
			name   string
			after  time.Duration
			answer *Drain
			goal   resource.Goal
			says   bool
		}{
			{"ended", time.Second, &Drain{Ended: resource.DrainIdle}, resource.GoalDelete, false},
			{"goes on", time.Second, &Drain{InFlightAtStart: 1}, resource.GoalRun, false},
			{"nobody knows yet", time.Second, nil, resource.GoalRun, false},
			{"nobody knows for long", drainTimeout + confirmLimit, nil, resource.GoalRun, true},
			{"nobody ever knows", drainTimeout + drainLimit, nil, resource.GoalDelete, true},
			{"a gateway knows at last", drainTimeout + drainLimit, &Drain{InFlightAtStart: 1}, resource.GoalRun, false},
		} {
			t.Run(why.name+"/"+test.name, func(t *testing.T) {
				v := drainingView()
				v.DrainTimeout, v.Now = drainTimeout, v.Now.Add(test.after)
				why.leave(&v)
				if test.answer != nil {
					v.Drains = map[string]Drain{"web_0": *test.answer}
				}
				plan := Decide(v)
				goal := resource.GoalRun
				for _, in := range plan.Change {
					if in.Name == "web_0" {
						goal = in.Status.Goal
					}
				}
				if goal != test.goal {
					t.Errorf("its goal is %s, want %s", goal, test.goal)
				}
				c := resource.FindCondition(plan.Set.Status.Conditions, resource.ConditionDrainUnconfirmed)
				if (c != nil) != test.says {
					t.Errorf("the condition is %v", c)
				}
				if goal == resource.GoalRun && plan.Again == 0 {
					t.Error("nobody looks again")
				}
			})
		}
	}
}

// drainingView is a set of one whose instance drains since now.
func drainingView() View {
	v := viewIn(resource.RolloutPending, false)
	v.Rollout, v.Set.Status.Rollout, v.Set.Status.Colour = nil, "", resource.Blue
	v.Instances = v.Instances[:1]
	s := &v.Instances[0].Status
	s.Colour, s.Admission, s.DrainingSince = resource.Blue, resource.AdmissionDraining, new(v.Now)
	return v
}

// Who is under notice is named once, though the rollout's end waits for its drain as well.
func TestUnconfirmedDrainIsNamedOnce(t *testing.T) {
	v := viewIn(resource.RolloutFinishing, false)
	told := v.Instances[0]
	told.Name, told.Status.Admission, told.Status.DrainingSince = "web_2", resource.AdmissionDraining, new(v.Now)
	told.Status.Notice = &resource.Notice{Type: resource.EventTerminate, EventID: "e", NotBefore: v.Now.Add(noticeTime)}
	v.Instances, v.Now = append(v.Instances, told), v.Now.Add(confirmLimit)
	c := resource.FindCondition(Decide(v).Set.Status.Conditions, resource.ConditionDrainUnconfirmed)
	if c == nil || strings.Count(c.Message, "web_2") != 1 {
		t.Errorf("the set says %+v", c)
	}
}
