package fleet

import (
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

// After an older snapshot was served, those that it did not know take the traffic
// until the set's own can, and not longer.
func TestRecoveredStandIn(t *testing.T) {
	const in, out, draining = resource.AdmissionInService, resource.AdmissionOut, resource.AdmissionDraining
	const well, starting = resource.HealthHealthy, resource.HealthInitializing
	for _, test := range []struct {
		name      string
		own       []resource.InstanceStatus
		recovered resource.InstanceStatus
		want      resource.Admission
	}{
		{"nothing of its own yet", nil, state(well, out), in},
		{"its own were in service and are gone", []resource.InstanceStatus{state(starting, in), state(starting, in)}, state(well, out), in},
		{"they are not well themselves", nil, state(starting, out), out},
		{"one of its own serves", []resource.InstanceStatus{state(well, in), state(starting, out)}, state(well, out), out},
		{"one of its own serves, and they still do", []resource.InstanceStatus{state(well, in), state(starting, out)}, state(well, in), in},
		{"all of its own can serve", []resource.InstanceStatus{state(well, in), state(well, in)}, state(well, in), draining},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := View{Set: runningSet("web:1.0.0"), Versions: versions("web")}
			v.Set.Spec.Capacity = 2
			test.recovered.Conditions = []resource.Condition{{Type: resource.ConditionRecovered, Status: true}}
			for n, s := range append(test.own, test.recovered) {
				s.Set, s.Colour, s.Goal = "web", resource.Blue, resource.GoalRun
				v.Instances = append(v.Instances, resource.Instance{Meta: resource.Meta{Name: resource.InstanceName("web", n)}, Status: s})
			}
			last := v.Instances[len(v.Instances)-1]
			for _, changed := range Decide(v).Change {
				if changed.Name == last.Name {
					last = changed
				}
			}
			if last.Status.Admission != test.want || last.Status.Goal != resource.GoalRun {
				t.Errorf("it is %s with goal %s, want %s", last.Status.Admission, last.Status.Goal, test.want)
			}
		})
	}
}

func state(h resource.Health, a resource.Admission) resource.InstanceStatus {
	return resource.InstanceStatus{Health: h, Admission: a}
}
