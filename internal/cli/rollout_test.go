package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// report is what a finished rollout holds.
func report() resource.Report {
	started := time.Now().UTC().Add(-3 * time.Second)
	ended := started.Add(2500 * time.Millisecond)
	return resource.Report{
		Steps:   []resource.StepReport{{Name: "Starting", StartedAt: started, EndedAt: &ended, Detail: "4 healthy"}},
		Traffic: []resource.TrafficReport{{Version: "1.0.0", Window: "before", Requests: 1200, Retried: 1, P50Ms: 1.25, P99Ms: 9}},
		Drains:  []resource.DrainReport{{Instance: "hello_0", InFlight: 3, Ended: resource.DrainIdle}},
	}
}

// advance moves the world's rollout to a phase.
func advance(w *world, name string, phase resource.RolloutPhase, reason string) {
	w.t.Helper()
	_, err := fakeFleet{w.store}.edit(w.t.Context(), name, func(r *resource.Rollout) {
		r.Status.Phase, r.Status.Reason = phase, reason
		if phase.Terminal() {
			ended := r.Status.StartedAt.Add(34 * time.Second)
			r.Status.EndedAt, r.Status.Report = &ended, report()
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// watched runs a command that watches a rollout in the background.
func watched(ctx context.Context, w *world, args ...string) (out, errs *syncBuffer, done chan int) {
	out, errs, done = new(syncBuffer), new(syncBuffer), make(chan int, 1)
	go func() { done <- Run(ctx, w.env(nil, "", out, errs), w.local, args) }()
	return out, errs, done
}

func TestRolloutStartWatch(t *testing.T) {
	w := newWorld(t)
	put(w, scaleSet("hello", 2))
	put(w, instance("hello_0", resource.Blue, "1.0.0", resource.HealthHealthy, resource.AdmissionInService))
	out, errs, done := watched(t.Context(), w, "rollout", "start", "hello", "--image", "hello:2.0.0", "--watch")
	waitFor(t, out, "rollout/hello-1 started: hello:1.0.0 → hello:2.0.0, BlueGreen\n")
	put(w, instance("hello_1", resource.Green, "2.0.0", resource.HealthInitializing, resource.AdmissionOut))
	waitFor(t, out, "Pending · blue 1.0.0: 1 of 1 in service, 1 healthy · green 2.0.0: 0 of 1 in service, 0 healthy\n")
	w.stop() // the server is killed, and comes back
	waitFor(t, errs, "trying again")
	advance(w, "hello-1", resource.RolloutBaking, "")
	w.start()
	waitFor(t, out, "  Baking · ")
	advance(w, "hello-1", resource.RolloutSucceeded, "")
	if code := <-done; code != 0 {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	want := `rollout/hello-1: hello:1.0.0 → hello:2.0.0, BlueGreen
Succeeded after 34s

STEP       TOOK   DETAIL
Starting   2.5s   4 healthy

VERSION   WINDOW   REQUESTS   FAILED   RETRIED   CUT   ERRORS   P50 MS   P99 MS
1.0.0     before   1200       0        1         0     0        1.25     9.00

DRAINED   IN FLIGHT   ENDED
hello_0   3           Idle
`
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("got\n%s\nwant at the end\n%s", out.String(), want)
	}
	if n := strings.Count(out.String(), "  Baking · "); n != 1 {
		t.Errorf("a line was printed %d times:\n%s", n, out.String())
	}
}

func TestRolloutWatchFailsWithItsRollout(t *testing.T) {
	for _, end := range []resource.RolloutPhase{resource.RolloutRolledBack, resource.RolloutFailed, resource.RolloutCancelled} {
		w := newWorld(t)
		put(w, rollout("hello-1", resource.RolloutStarting))
		out, errs, done := watched(t.Context(), w, "rollout", "status", "hello-1", "--watch")
		waitFor(t, out, "Starting")
		advance(w, "hello-1", end, "it never became\nhealthy")
		code := <-done
		if want := "drover: rollout hello-1 ended " + string(end) + " after 34s: it never became healthy\n"; code != 1 || errs.String() != want {
			t.Errorf("%s: exit %d: %s, want %s", end, code, errs.String(), want)
		}
	}
}

func TestRolloutWatchCtrlC(t *testing.T) {
	w := newWorld(t)
	put(w, rollout("hello-1", resource.RolloutStarting))
	ctx, cancel := context.WithCancel(t.Context())
	out, errs, done := watched(ctx, w, "rollout", "status", "hello-1", "--watch")
	waitFor(t, out, "Starting")
	cancel()
	if code := <-done; code != 1 || !strings.Contains(errs.String(), "the rollout goes on; `drover rollout status hello-1 --watch`") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

func TestRolloutRollback(t *testing.T) {
	w := newWorld(t)
	set := scaleSet("hello", 2)
	set.Status.Rollout = "hello-2"
	put(w, set)
	put(w, rollout("hello-1", resource.RolloutSucceeded))
	put(w, rollout("hello-2", resource.RolloutBaking))
	// A running one goes back itself: RolledBack is what was asked for.
	out, errs, done := watched(t.Context(), w, "rollout", "rollback", "hello", "--watch")
	waitFor(t, out, "rollout/hello-2 is going back")
	advance(w, "hello-2", resource.RolloutRolledBack, "asked for")
	if code := <-done; code != 0 {
		t.Errorf("a running one: exit %d: %s", code, errs.String())
	}
	// None is running: the last one that Succeeded is undone by a new rollout.
	if _, err := w.store.Update(t.Context(), func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindScaleSet, "hello", func(s *resource.ScaleSet) error {
			s.Status.Rollout, s.Status.LastRollout = "", "hello-1"
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	out, errs, done = watched(t.Context(), w, "rollout", "rollback", "hello", "--watch")
	waitFor(t, out, "rollout/hello-9 started: hello:2.0.0 → hello:1.0.0, BlueGreen, rollback of hello-1\n")
	advance(w, "hello-9", resource.RolloutSucceeded, "")
	if code := <-done; code != 0 {
		t.Errorf("a finished one: exit %d: %s", code, errs.String())
	}
}

func TestRolloutActions(t *testing.T) {
	w := newWorld(t)
	put(w, rollout("hello-1", resource.RolloutBaking))
	for _, tt := range []struct {
		args []string
		want resource.Ask
	}{
		{[]string{"pause", "hello-1", "--for", "PT1H"}, resource.Ask{Action: "pause", For: resource.Duration(time.Hour)}},
		{[]string{"pause", "hello-1"}, resource.Ask{Action: "pause"}},
		{[]string{"resume", "hello-1"}, resource.Ask{Action: "resume"}},
		{[]string{"promote", "hello-1"}, resource.Ask{Action: "promote"}},
		{[]string{"cancel", "hello-1"}, resource.Ask{Action: "cancel"}},
	} {
		got := w.run(append([]string{"rollout"}, tt.args...)...)
		ro, err := store.GetAs[resource.RolloutSpec, resource.RolloutStatus](t.Context(), w.store, resource.KindRollout, "hello-1")
		if err != nil || got.code != 0 || ro.Status.Ask == nil || ro.Status.Ask.Action != tt.want.Action || ro.Status.Ask.For != tt.want.For {
			t.Errorf("%v: exit %d, %v, asked %+v: %s%s", tt.args, got.code, err, ro.Status.Ask, got.out, got.err)
		}
	}
}

func TestFindRollout(t *testing.T) {
	w := newWorld(t)
	put(w, scaleSet("hello", 1))
	put(w, scaleSet("hello-1", 1)) // a set that is called like a rollout
	put(w, scaleSet("fresh", 1))
	for _, name := range []string{"hello-1", "hello-2", "hello-10", "hello-1-7"} {
		put(w, rollout(name, resource.RolloutSucceeded))
	}
	tests := []struct{ arg, want string }{
		{"hello", "rollout/hello-10: "},
		{"hello-1", "rollout/hello-1-7: "},
		{"hello-2", "rollout/hello-2: "},
	}
	for _, tt := range tests {
		if got := w.run("rollout", "status", tt.arg); got.code != 0 || !strings.HasPrefix(got.out, tt.want) {
			t.Errorf("%s: exit %d: %s%s", tt.arg, got.code, got.out, got.err)
		}
	}
	if got := w.run("rollout", "status", "fresh"); got.code != 1 || !strings.Contains(got.err, "has had no rollout yet") {
		t.Errorf("exit %d: %s", got.code, got.err)
	}
	got := w.run("rollout", "history", "hello")
	if first := strings.Split(got.out, "\n"); got.code != 0 || !strings.HasPrefix(first[1], "hello-10 ") || !strings.HasPrefix(first[3], "hello-1 ") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	var all []resource.Rollout
	decodeJSON(t, w.run("rollout", "history", "hello", "-o", "json").out, &all)
	if len(all) != 3 || all[0].Name != "hello-10" {
		t.Errorf("got %d", len(all))
	}
}
