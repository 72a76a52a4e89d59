package compute

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Every field of the status has one writer: what is not fleet's, report copies.
func TestReportCopiesAllThatIsComputes(t *testing.T) {
	fleets := []string{"Set", "Colour", "Model", "Version", "Admission", "Placement", "Goal", "Discard", "Reimage", "DrainingSince",
		"Served", "Notice", "Operation", "Restart", "Validate", "Validated"}
	now, code := time.Now(), 1
	found := resource.InstanceStatus{
		Set: "web", Colour: resource.Green, Version: "1.0.0", Model: resource.Model{Version: "1.0.0"},
		Health: resource.HealthHealthy, Admission: resource.AdmissionInService, Address: "127.0.0.1:1",
		Placement: resource.Placement{Node: "n"}, PID: 1, StartedAt: &now, Restarts: 1, LastExit: &resource.Exit{Code: &code},
		Conditions: []resource.Condition{{Type: "c"}}, Goal: resource.GoalDelete, Phase: resource.InstanceRunning,
		HasData: true, Discard: true, Reimage: 1, DrainingSince: &now,
		Served: true, Notice: &resource.Notice{EventID: "e"}, Validate: &resource.Validation{Path: "/"}, Validated: &resource.Validated{At: now},
		Operation: &resource.Operation{At: now}, Restart: 1, Restarted: 1,
		Reimaged: 1, NextStart: &now, Crashes: 1, GraceSince: &now, HealthySince: &now,
	}
	var to resource.InstanceStatus
	report(&to, found)
	got, want := reflect.ValueOf(to), reflect.ValueOf(found)
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		if want.Field(i).IsZero() {
			t.Errorf("the test gives no %s", name)
		}
		if copied := reflect.DeepEqual(got.Field(i).Interface(), want.Field(i).Interface()); copied == slices.Contains(fleets, name) {
			t.Errorf("%s: copied %t", name, copied)
		}
	}
}
