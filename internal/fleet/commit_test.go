package fleet

import (
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// Whoever follows the store sees a canary's weights before an instance of the new
// colour in service, and the revision to be confirmed covers both.
func TestWeightsAreWrittenBeforeWhoServes(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	v := canaryView(resource.RolloutStarting)
	v.Set.Kind, v.Set.Name = resource.KindScaleSet, "web"
	_, err = s.Update(t.Context(), func(tx *store.Tx) error {
		for i := range v.Instances {
			v.Instances[i].Kind = resource.KindInstance
			v.Instances[i].Status.Set = "web"
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
	if err != nil {
		t.Fatal(err)
	}
	f := New(Options{Store: s, Traffic: &gateways{began: map[string]time.Time{}}})
	if err := f.write(t.Context(), v, Decide(v)); err != nil {
		t.Fatal(err)
	}
	set, err := store.GetAs[resource.ScaleSetSpec, resource.ScaleSetStatus](t.Context(), s, resource.KindScaleSet, "web")
	if err != nil {
		t.Fatal(err)
	}
	in, err := store.GetAs[resource.InstanceSpec, resource.InstanceStatus](t.Context(), s, resource.KindInstance, "web_1")
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.GetAs[resource.RolloutSpec, resource.RolloutStatus](t.Context(), s, resource.KindRollout, v.Rollout.Name)
	if err != nil {
		t.Fatal(err)
	}
	if set.Status.Weights[r.Status.NewColour] != 10 || in.Status.Admission != resource.AdmissionInService {
		t.Fatalf("weights %v, %s is %s", set.Status.Weights, in.Name, in.Status.Admission)
	}
	if set.Revision >= in.Revision || r.Status.Shifted.Revision < in.Revision {
		t.Errorf("the set has revision %d, the instance %d, and %d is to be confirmed", set.Revision, in.Revision, r.Status.Shifted.Revision)
	}
}

// A step that only changes weights has the set's revision confirmed.
func TestAStepWithoutInstancesIsConfirmedToo(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	v := inStep(0)
	v.tells(canaryHold, answers(1000, time.Millisecond), answers(1000, time.Millisecond))
	_, err = s.Update(t.Context(), func(tx *store.Tx) error {
		if v.Set, err = store.PutAs(tx, v.Set); err != nil {
			return err
		}
		*v.Rollout, err = store.PutAs(tx, *v.Rollout)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f := New(Options{Store: s, Traffic: &gateways{began: map[string]time.Time{}}})
	if err := f.write(t.Context(), v, Decide(v)); err != nil {
		t.Fatal(err)
	}
	set, err := store.GetAs[resource.ScaleSetSpec, resource.ScaleSetStatus](t.Context(), s, resource.KindScaleSet, "web")
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.GetAs[resource.RolloutSpec, resource.RolloutStatus](t.Context(), s, resource.KindRollout, v.Rollout.Name)
	if err != nil {
		t.Fatal(err)
	}
	if set.Status.Weights[r.Status.NewColour] != 50 || r.Status.Shifted.Revision != set.Revision {
		t.Errorf("weights %v at revision %d, %d is to be confirmed", set.Status.Weights, set.Revision, r.Status.Shifted.Revision)
	}
}
