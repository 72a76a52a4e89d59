package fleet

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// writeStep stores a view, writes what is decided about it, and reads that back.
func writeStep(t *testing.T, v View) (set resource.ScaleSet, in resource.Instance, r resource.Rollout) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Update(t.Context(), func(tx *store.Tx) error {
		for i := range v.Instances {
			v.Instances[i].Kind, v.Instances[i].Status.Set = resource.KindInstance, "web"
			if v.Instances[i], err = store.PutAs(tx, v.Instances[i]); err != nil {
				return err
			}
		}
		if v.Set, err = store.PutAs(tx, v.Set); err != nil {
			return err
		}
		*v.Rollout, err = store.PutAs(tx, *v.Rollout)
		return err
	})
	f := New(Options{Store: s, Traffic: &gateways{began: map[string]time.Time{}}})
	err = errors.Join(err, f.write(t.Context(), v, Decide(v)))
	set, err1 := store.GetAs[resource.ScaleSetSpec, resource.ScaleSetStatus](t.Context(), s, resource.KindScaleSet, "web")
	in, err2 := store.GetAs[resource.InstanceSpec, resource.InstanceStatus](t.Context(), s, resource.KindInstance, "web_1")
	r, err3 := store.GetAs[resource.RolloutSpec, resource.RolloutStatus](t.Context(), s, resource.KindRollout, v.Rollout.Name)
	if err := errors.Join(err, err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return set, in, r
}

// Whoever follows the store sees a canary's weights before an instance of the new
// colour in service, and the revision to be confirmed covers both.
func TestWeightsAreWrittenBeforeWhoServes(t *testing.T) {
	set, in, r := writeStep(t, canaryView(resource.RolloutStarting))
	if set.Status.Weights[r.Status.NewColour] != 10 || in.Status.Admission != resource.AdmissionInService {
		t.Fatalf("weights %v, %s is %s", set.Status.Weights, in.Name, in.Status.Admission)
	}
	if set.Revision >= in.Revision || r.Status.Shifted.Revision < in.Revision {
		t.Errorf("the set has revision %d, the instance %d, and %d is to be confirmed", set.Revision, in.Revision, r.Status.Shifted.Revision)
	}
}

// Every field has one writer: what compute does not report, and what is not given for
// good when an instance is made, is written here.
func TestWishCopiesAllThatIsFleets(t *testing.T) {
	ours := []string{"Admission", "DrainingSince", "Served", "Goal", "Discard", "Notice", "Operation", "Reimage", "Restart", "Validate", "Validated"}
	now := time.Now()
	from := resource.InstanceStatus{
		Set: "web", Colour: resource.Green, Model: resource.Model{Version: "1"}, Version: "1", Health: resource.HealthHealthy,
		Admission: resource.AdmissionOut, Address: "a", Placement: resource.Placement{Node: "n"}, PID: 1, StartedAt: &now, Restarts: 1,
		LastExit: &resource.Exit{}, Conditions: []resource.Condition{{}}, DrainingSince: &now, Served: true, Notice: &resource.Notice{},
		Operation: &resource.Operation{}, Validate: &resource.Validation{}, Validated: &resource.Validated{}, Goal: resource.GoalRun,
		Phase: resource.InstanceRunning, HasData: true, Discard: true, Reimage: 1, Reimaged: 1, Restart: 1, Restarted: 1,
		NextStart: &now, Crashes: 1, GraceSince: &now, HealthySince: &now,
	}
	var to resource.InstanceStatus
	wish(&to, &from)
	got, all := reflect.ValueOf(to), reflect.ValueOf(from)
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		if all.Field(i).IsZero() {
			t.Errorf("the test gives no %s", name)
		}
		if copied := !got.Field(i).IsZero(); copied != slices.Contains(ours, name) {
			t.Errorf("%s: copied %t", name, copied)
		}
	}
}

// A step that only changes weights has the set's revision confirmed.
func TestAStepWithoutInstancesIsConfirmedToo(t *testing.T) {
	v := inStep(0)
	v.tells(canaryHold, answers(1000, time.Millisecond), answers(1000, time.Millisecond))
	set, _, r := writeStep(t, v)
	if set.Status.Weights[r.Status.NewColour] != 50 || r.Status.Shifted.Revision != set.Revision {
		t.Errorf("weights %v at revision %d, %d is to be confirmed", set.Status.Weights, set.Revision, r.Status.Shifted.Revision)
	}
}

// Whoever sees a part of a write never sees a canary's instances serve alone.
func TestWriteOrder(t *testing.T) {
	p := &pass{}
	p.Set.Status.Colour = resource.Blue
	last := -1
	for _, s := range []resource.InstanceStatus{
		{Colour: resource.Blue, Admission: resource.AdmissionInService},
		{Colour: resource.Green, Admission: resource.AdmissionInService},
		{Colour: resource.Green, Admission: resource.AdmissionDraining},
		{Colour: resource.Blue, Admission: resource.AdmissionDraining},
	} {
		order := p.writeOrder(resource.Instance{Status: s})
		if order <= last {
			t.Errorf("%s and %s is written before what comes first", s.Colour, s.Admission)
		}
		last = order
	}
}
