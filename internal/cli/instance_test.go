package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

func TestInstanceIsOperated(t *testing.T) {
	w := newWorld(t)
	put(w, instance("hello_0", resource.Blue, "1.0.0", resource.HealthHealthy, resource.AdmissionInService))
	got := w.run("instance", "restart", "hello_0")
	if got.code != 0 || got.out != "instance/hello_0 is to be restarted: waiting to be taken out of service\n" || got.err != "warning: nobody stands in\n" {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	var in resource.Instance
	if got = w.run("instance", "reimage", "hello_0", "-o", "json"); got.code != 0 || got.err != "" {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	decodeJSON(t, got.out, &in)
	if op := in.Status.Operation; op == nil || op.Action != resource.ActionReimage || op.By != "admin" {
		t.Errorf("it answers %s", got.out)
	}
	if got := w.run("instance", "restart", "hello_7"); got.code != 1 || !strings.Contains(got.err, "hello_7") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := w.run("instance", "restart"); got.code != 2 {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
}

// The watch shows each step once and ends with what became of the instance.
func TestInstanceIsWatched(t *testing.T) {
	done := func(h resource.Health) func(*resource.InstanceStatus) {
		return func(s *resource.InstanceStatus) { s.Operation, s.Notice, s.Health = nil, nil, h }
	}
	steps := []func(*resource.InstanceStatus){
		func(s *resource.InstanceStatus) { s.Operation.Started = new(time.Now().UTC()) },
		func(s *resource.InstanceStatus) { s.PID++ },
		func(s *resource.InstanceStatus) { s.Operation.Released, s.Reimage = new(time.Now().UTC()), 1 },
		func(s *resource.InstanceStatus) { s.Reimaged, s.Health = 1, resource.HealthInitializing },
	}
	for _, test := range []struct {
		name  string
		last  func(*resource.InstanceStatus)
		code  int
		words []string
	}{
		{"well", done(resource.HealthHealthy), 0, []string{"instance/hello_0 reimaged: Healthy"}},
		{"unwell", func(s *resource.InstanceStatus) {
			done(resource.HealthUnhealthy)(s)
			s.Conditions = []resource.Condition{{Type: "StartFailed", Message: "no\nspace"}}
		}, 1, []string{"instance hello_0 is Unhealthy: no space"}},
		{"refused", func(s *resource.InstanceStatus) {
			done(resource.HealthHealthy)(s)
			s.StartedAt = new(time.Now().UTC())
			s.Validated = &resource.Validated{StartedAt: *s.StartedAt, Message: "500"}
		}, 1, []string{"failed its validation: 500"}},
		{"not done", func(s *resource.InstanceStatus) { done(resource.HealthHealthy)(s); s.Reimaged = 0 }, 1, []string{"was not reimaged in time"}},
		{"deleted instead", func(s *resource.InstanceStatus) { done(resource.HealthHealthy)(s); s.Goal = resource.GoalDelete }, 1, []string{"to be deleted instead"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			put(w, instance("hello_0", resource.Blue, "1.0.0", resource.HealthHealthy, resource.AdmissionInService))
			ended := make(chan result)
			go func() { ended <- w.run("instance", "reimage", "hello_0", "--watch") }()
			waitRequest(t, w, "GET /api/v1/instances")
			for _, step := range append(steps, test.last) {
				_, err := w.store.Update(t.Context(), func(tx *store.Tx) error {
					return store.Edit(tx, resource.KindInstance, "hello_0", func(i *resource.Instance) error { step(&i.Status); return nil })
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			got := <-ended
			all := got.out + got.err
			if got.code != test.code {
				t.Errorf("exit %d:\n%s", got.code, all)
			}
			for _, word := range append(test.words, "draining\n", "its process is replaced\n", "started, Initializing\n") {
				if strings.Count(all, word) != 1 {
					t.Errorf("it says %q %d times:\n%s", word, strings.Count(all, word), all)
				}
			}
		})
	}
}
