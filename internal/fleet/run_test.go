package fleet

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// gateways confirm everything at once; a drain takes a second.
type gateways struct {
	changed chan struct{}
	began   map[string]time.Time // of drains
}

func (g *gateways) Applied(int64) bool                   { return true }
func (g *gateways) Changed() <-chan struct{}             { return g.changed }
func (g *gateways) Validation(string) (Validation, bool) { return Validation{}, false }
func (g *gateways) Preview(string) (Preview, bool)       { return Preview{}, false }
func (g *gateways) Approved(string) (time.Time, bool)    { return time.Time{}, false }
func (g *gateways) Figures(string) (Figures, bool) {
	return Figures{Incarnation: "1", At: time.Now(), Current: true}, true
}
func (g *gateways) Drain(instance string) (Drain, bool) {
	// Only the worker of the set asks, one at a time.
	if g.began[instance].IsZero() {
		g.began[instance] = time.Now()
	}
	if time.Since(g.began[instance]) < time.Second {
		return Drain{InFlightAtStart: 1}, true
	}
	return Drain{InFlightAtStart: 1, Ended: resource.DrainIdle}, true
}

// machine is a compute whose instances are Healthy two seconds after they were
// asked for, and never when their version is 3.0.0.
func machine(ctx context.Context, s *store.Store) {
	for ctx.Err() == nil {
		list, _, err := store.ListAs[resource.InstanceSpec, resource.InstanceStatus](ctx, s, resource.KindInstance, store.ListOptions{})
		for _, in := range list {
			if err = errors.Join(err, step(ctx, s, in)); err != nil {
				break
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func step(ctx context.Context, s *store.Store, in resource.Instance) error {
	age := time.Since(in.Created)
	health := in.Status.Health
	switch {
	case in.Status.Goal == resource.GoalDelete:
		_, err := s.Update(ctx, func(tx *store.Tx) error { return tx.Delete(in.Kind, in.Name) })
		return err
	case in.Status.Version == "3.0.0" && age > 5*time.Second:
		health = resource.HealthUnhealthy
	case in.Status.Version != "3.0.0" && age > 2*time.Second:
		health = resource.HealthHealthy
	}
	if health == in.Status.Health {
		return nil
	}
	_, err := s.Update(ctx, func(tx *store.Tx) error {
		return store.Edit(tx, in.Kind, in.Name, func(o *resource.Instance) error { o.Status.Health = health; return nil })
	})
	return err
}

// The whole loop over a real store in fake time: a good rollout takes exactly what
// its policy says, a bad one goes back, and the kept colour goes when its time is over.
func TestRunInFakeTime(t *testing.T) {
	dir, err := os.MkdirTemp("", "fleet-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.Context(), store.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		f := New(Options{Store: s, Traffic: &gateways{changed: make(chan struct{}), began: map[string]time.Time{}}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- f.Run(ctx) }()
		go func() { machine(ctx, s); done <- nil }()
		tellStory(t, f, s)
		cancel()
		if err := errors.Join(<-done, <-done, s.Close()); err != nil {
			t.Fatal(err)
		}
	})
}

func tellStory(t *testing.T, f *Fleet, s *store.Store) {
	t.Helper()
	spec := resource.DefaultScaleSetSpec()
	spec.Image, spec.Capacity = "web:1.0.0", 3
	_, err := s.Update(t.Context(), func(tx *store.Tx) error {
		for _, v := range versions("web") {
			if _, err := store.PutAs(tx, v); err != nil {
				return err
			}
		}
		_, err := Write(tx, resource.ScaleSet{Meta: resource.Meta{Kind: resource.KindScaleSet, Name: "web"}, Spec: spec}, WriteOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	good := roll(t, f, s, "web:2.0.0", time.Minute)
	if good.Status.Phase != resource.RolloutSucceeded || len(good.Status.Report.Drains) != 3 {
		t.Fatalf("%+v", good.Status)
	}
	for _, step := range good.Status.Report.Steps {
		if took := step.EndedAt.Sub(step.StartedAt); step.Name == string(resource.RolloutBaking) && (took < 10*time.Second || took > 11*time.Second) {
			t.Errorf("baked for %s, the policy says 10s", took)
		}
	}
	if n := count(instancesOf(t, s)); n != 6 {
		t.Errorf("%d instances right after the rollout, 3 that serve and 3 kept", n)
	}
	time.Sleep(6 * time.Minute)
	if n := count(instancesOf(t, s)); n != 3 {
		t.Errorf("%d instances after keepPrevious, want 3", n)
	}
	if bad := roll(t, f, s, "web:3.0.0", time.Minute); bad.Status.Phase != resource.RolloutRolledBack || bad.Status.Reason == "" {
		t.Errorf("the bad rollout ended %s: %q", bad.Status.Phase, bad.Status.Reason)
	}
	if serving := instancesOf(t, s); count(serving) != 3 {
		t.Errorf("%v after the rollback", serving)
	}
	if _, err := f.Start(t.Context(), StartRequest{Set: "web", Image: "web:3.0.0"}); !resource.IsCode(err, resource.CodeModelKnownBad) {
		t.Errorf("the bad version again: %v", err)
	}
}

func roll(t *testing.T, f *Fleet, s *store.Store, image string, limit time.Duration) resource.Rollout {
	t.Helper()
	v, err := f.Start(t.Context(), StartRequest{Set: "web", Image: image})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Second) {
		r, err := store.GetAs[resource.RolloutSpec, resource.RolloutStatus](t.Context(), s, resource.KindRollout, v.Rollout.Name)
		if err != nil {
			t.Fatal(err)
		}
		if r.Status.Phase.Terminal() {
			return r
		}
	}
	t.Fatalf("the rollout to %s has not ended after %s", image, limit)
	return resource.Rollout{}
}

// instancesOf says of each instance that there is that it is.
func instancesOf(t *testing.T, s *store.Store) map[string]bool {
	t.Helper()
	list, err := s.List(t.Context(), resource.KindInstance, store.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, d := range list.Items {
		there[d.Name] = true
	}
	return there
}
