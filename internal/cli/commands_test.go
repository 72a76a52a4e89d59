package cli

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

func TestTokenIsPrintedOnce(t *testing.T) {
	w := newWorld(t)
	got := w.run("token", "create", "ci", "--role", "publisher", "--scope", "image/hello", "--scope", "scaleset/hello", "--expires", "720h")
	if got.code != 0 || got.out != "drover_new-secret\n" || strings.Contains(got.err, "drover_new-secret") || !strings.Contains(got.err, "Token ci (Publisher) expires") {
		t.Errorf("exit %d\nout: %s\nerr: %s", got.code, got.out, got.err)
	}
	list := w.run("token", "list")
	if list.code != 0 || strings.Contains(list.out, "secret") || !strings.Contains(list.out, "ci     Publisher   image/hello,scaleset/hello   in 29d") {
		t.Errorf("exit %d\n%s", list.code, list.out)
	}
	if got := w.run("token", "revoke", "ci"); got.code != 0 || got.out != "token/ci revoked\n" {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
}

func TestDeleteWaits(t *testing.T) {
	w := newWorld(t)
	put(w, scaleSet("first", 1))
	if got := w.run("delete", "set", "first", "--no-wait"); got.code != 0 || got.out != "scaleset/first is being deleted\n" {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	put(w, scaleSet("hello", 1))
	done := make(chan result)
	go func() { done <- w.run("delete", "scalesets", "--all") }()
	waitRequest(t, w, "DELETE /api/v1/scalesets/hello")
	for _, name := range []string{"first", "hello"} {
		waitDeleting(t, w, name)
		if _, err := w.store.Update(t.Context(), func(tx *store.Tx) error { return tx.Delete(resource.KindScaleSet, name) }); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-done; got.code != 0 || got.out != "scaleset/first deleted\nscaleset/hello deleted\n" {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	put(w, scaleSet("slow", 1))
	if got := w.run("delete", "set", "slow", "--timeout", "50ms"); got.code != 1 || !strings.Contains(got.err, "still not gone after 50ms") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
}

func TestLogs(t *testing.T) {
	w := newWorld(t)
	put(w, instance("hello_0", resource.Blue, "1.0.0", resource.HealthHealthy, resource.AdmissionInService))
	if got := w.run("logs", "hello_0", "--tail", "7"); got.code != 0 || got.out != "tail 7\n" {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if got := w.run("logs", "hello_0", "--tail", "-7"); got.code != 2 || got.out != "" || !strings.Contains(got.err, "--tail -7") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs syncBuffer
	done := make(chan int)
	w.log = "one\ntwo\nthr" // a server that is killed ends an answer anywhere
	go func() { done <- Run(ctx, w.env(nil, "", &out, &errs), w.local, []string{"logs", "hello_0", "-f"}) }()
	waitFor(t, &out, w.log)
	restart := func(log string, rotated int) {
		w.stop()
		w.log, w.rotated = log, rotated
		w.start()
		waitFor(t, &out, log[rotated:])
	}
	restart("one\ntwo\nthree\nfour\n", 0)
	if text := out.String(); text != w.log || !strings.Contains(errs.String(), "trying again") {
		t.Errorf("after a restart: %q\n%s", text, errs.String())
	}
	restart(w.log+"lost\nfive\n", len(w.log)+len("lost\n"))
	if text := out.String(); text != "one\ntwo\nthree\nfour\nfive\n" || !strings.Contains(errs.String(), "drover: 5 bytes of the log were rotated away meanwhile\n") {
		t.Errorf("after lines were rotated away: %q\n%s", text, errs.String())
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("Ctrl-C: exit %d: %s", code, errs.String())
	}
}

func TestStatus(t *testing.T) {
	w := newWorld(t)
	set := scaleSet("hello", 4)
	set.Status.Conditions = []resource.Condition{{Type: resource.ConditionImageNotFound, Status: true, Message: "hello:9.0.0 has not been pushed", Since: time.Now()}}
	put(w, set)
	got := w.run("status")
	for _, want := range []string{
		"version 1.2.3", "Up for:    60m", "Gateway:   Running, process 42",
		"hello       hello:1.0.0   1.0.0     4          4         4           -",
		"hello: ImageNotFound: hello:9.0.0 has not been pushed",
	} {
		if got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("exit %d: %q is not in\n%s%s", got.code, want, got.out, got.err)
		}
	}
}

// TestAcknowledgeRecovery: a repair is shown until somebody has taken note of it.
func TestAcknowledgeRecovery(t *testing.T) {
	w := newWorld(t)
	w.stop()
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	w.write("db/recovery.json", `{"at":"2030-01-01T00:00:00Z","reason":"a torn page","missingAfter":7,"lastKnown":9}`)
	var err error
	if w.store, err = store.Open(t.Context(), store.Options{Dir: filepath.Join(w.data, "db")}); err != nil {
		t.Fatal(err)
	}
	w.start()
	const report = "a torn page; changes after revision 7 may be missing"
	for _, tt := range []struct{ args, want string }{
		{"status", "Repaired:"}, {"status", report},
		{"status --acknowledge", "Acknowledged: "},
		{"status --acknowledge", "Nothing was repaired"},
		{"status --acknowledge -o json", `"acknowledged": null`},
	} {
		if got := w.run(strings.Fields(tt.args)...); got.code != 0 || !strings.Contains(got.out, tt.want) {
			t.Errorf("%s: exit %d: %s%s", tt.args, got.code, got.out, got.err)
		}
	}
	if got := w.run("status"); strings.Contains(got.out, "Repaired") {
		t.Errorf("acknowledged, it is still shown:\n%s", got.out)
	}
}

func TestDescribe(t *testing.T) {
	w := newWorld(t)
	set := scaleSet("hello", 4)
	set.Status.Conditions = []resource.Condition{{Type: resource.ConditionSpecNotRunning, Status: true, Reason: "ModelKnownBad", Message: "why", Since: time.Now()}}
	put(w, set)
	put(w, instance("hello_0", resource.Blue, "1.0.0", resource.HealthHealthy, resource.AdmissionInService))
	for _, name := range []string{"hello-1", "hello-2", "hello-10"} {
		put(w, rollout(name, resource.RolloutSucceeded))
	}
	got := w.run("describe", "scaleset", "hello")
	for _, want := range []string{
		"Name:       hello\nKind:       ScaleSet\nLabel:      tier=web\n",
		"\nSpec:\n  image: hello:1.0.0\n  capacity: 4\n",
		"\nStatus:\n  model:\n    image: hello:1.0.0\n",
		"\nConditions:\n  TYPE             STATUS   SINCE   REASON          MESSAGE\n  SpecNotRunning   true ",
		"\nInstances:\nNAME      SET ", "hello_0   hello   blue ",
		"\nRecent rollouts:\nNAME       SET     STRATEGY    FROM          TO            PHASE       STEP   AGE\nhello-10   hello ",
	} {
		if got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("exit %d: %q is not in\n%s%s", got.code, want, got.out, got.err)
		}
	}
	if strings.Contains(got.out, "conditions:") {
		t.Errorf("the conditions are shown twice:\n%s", got.out)
	}
}

// waitDeleting waits until the server has begun to delete a set.
func waitDeleting(t *testing.T, w *world, name string) {
	t.Helper()
	watch, err := w.store.Watch(t.Context(), 0, store.Filter{Kinds: []string{resource.KindScaleSet}, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	for {
		changes, err := watch.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if strings.Contains(string(c.Document.Status), "deleting") {
				return
			}
		}
	}
}
