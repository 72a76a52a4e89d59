package fleet

import (
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// Only what an older snapshot did not know is a user's to delete, and only once it
// takes no traffic.
func TestRemove(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	recovered := []resource.Condition{{Type: resource.ConditionRecovered, Status: true}}
	for _, test := range []struct {
		name       string
		admission  resource.Admission
		conditions []resource.Condition
		code       resource.Code
	}{
		{"web_0", resource.AdmissionOut, recovered, ""},
		{"web_1", resource.AdmissionInService, recovered, resource.CodeConflict},
		{"web_2", resource.AdmissionDraining, recovered, resource.CodeConflict},
		{"web_3", resource.AdmissionOut, nil, resource.CodeInvalid},
		{"web_4", "", nil, resource.CodeNotFound},
	} {
		_, err := s.Update(t.Context(), func(tx *store.Tx) error {
			in := resource.Instance{Meta: resource.Meta{Kind: resource.KindInstance, Name: test.name}}
			in.Status = resource.InstanceStatus{Set: "web", Goal: resource.GoalRun, Admission: test.admission, Conditions: test.conditions}
			if test.admission == "" {
				return nil
			}
			_, err := store.PutAs(tx, in)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Update(t.Context(), func(tx *store.Tx) error { return Remove(tx, test.name) }); test.code != "" {
			if !resource.IsCode(err, test.code) {
				t.Errorf("%s: %v, want %s", test.name, err, test.code)
			}
			continue
		}
		in, err2 := store.GetAs[resource.InstanceSpec, resource.InstanceStatus](t.Context(), s, resource.KindInstance, test.name)
		if err != nil || err2 != nil || in.Status.Goal != resource.GoalDelete {
			t.Errorf("%s: %v %v, goal %s", test.name, err, err2, in.Status.Goal)
		}
	}
}
