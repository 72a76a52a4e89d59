package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

func TestGetPrintsTables(t *testing.T) {
	w := newWorld(t)
	put(w, scaleSet("hello", 4))
	put(w, instance("hello_0", resource.Blue, "1.0.0", resource.HealthHealthy, resource.AdmissionInService))
	ro := rollout("hello-1", resource.RolloutBaking)
	ro.Status.Step = "bake"
	put(w, ro)
	tests := []struct{ kind, want string }{
		{"scalesets", "NAME    IMAGE         RUNNING   CAPACITY   HEALTHY   INSERVICE   ROLLOUT\nhello   hello:1.0.0   1.0.0     4          4         4           -\n"},
		{"Instance", "NAME      SET     COLOUR   VERSION   HEALTH    ADMISSION   ADDRESS           PID    RESTARTS   AGE\nhello_0   hello   blue     1.0.0     Healthy   InService   127.0.0.1:20000   1000   0          0s\n"},
		{"ROLLOUTS", "NAME      SET     STRATEGY    FROM          TO            PHASE    STEP   AGE\nhello-1   hello   BlueGreen   hello:1.0.0   hello:2.0.0   Baking   bake   0s\n"},
		{"lb", "NAME   LISTEN   PROTOCOL   BACKEND   LISTENING   AGE\n"},
	}
	for _, tt := range tests {
		got := w.run("get", tt.kind)
		// An age is a second or two on a slow machine.
		out := strings.NewReplacer("1s\n", "0s\n", "2s\n", "0s\n").Replace(got.out)
		if got.code != 0 || out != tt.want || got.err != "" {
			t.Errorf("get %s: exit %d, %s\n%s\nwant\n%s", tt.kind, got.code, got.err, got.out, tt.want)
		}
	}
}

func TestGetJSON(t *testing.T) {
	w := newWorld(t)
	got := w.run("get", "scalesets", "-o", "json")
	if got.code != 0 || strings.TrimSpace(got.out) != "[]" {
		t.Errorf("no documents: exit %d, %q", got.code, got.out)
	}
	put(w, scaleSet("hello", 4))
	put(w, scaleSet("other", 1))
	var list []resource.ScaleSet
	decodeJSON(t, w.run("get", "scaleset", "-o", "json").out, &list)
	if len(list) != 2 || list[0].Name != "hello" || list[1].Name != "other" {
		t.Errorf("got %+v", list)
	}
	var one resource.ScaleSet
	decodeJSON(t, w.run("get", "ScaleSet", "hello", "-o", "json").out, &one)
	if one.Name != "hello" || one.Spec.Capacity != 4 || one.Revision == 0 {
		t.Errorf("got %+v", one)
	}
	if got := w.run("get", "scaleset", "hello", "-o", "yaml"); !strings.Contains(got.out, "kind: ScaleSet\nname: hello\nlabels:\n  tier: web\n") {
		t.Errorf("got %s %s", got.out, got.err)
	}
}

func TestGetNarrows(t *testing.T) {
	w := newWorld(t)
	put(w, instance("a_0", resource.Blue, "1.0.0", resource.HealthHealthy, resource.AdmissionInService))
	labelled := instance("b_0", resource.Blue, "1.0.0", resource.HealthHealthy, resource.AdmissionInService)
	labelled.Labels = map[string]string{"zone": "1"}
	put(w, labelled)
	for _, args := range [][]string{{"--set", "b"}, {"-l", "zone=1"}} {
		got := w.run(append([]string{"get", "instances"}, args...)...)
		if got.code != 0 || strings.Contains(got.out, "a_0") || !strings.Contains(got.out, "b_0") {
			t.Errorf("%v: exit %d\n%s%s", args, got.code, got.out, got.err)
		}
	}
}

func TestGetWatch(t *testing.T) {
	w := newWorld(t)
	put(w, scaleSet("hello", 4))
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs syncBuffer
	done := make(chan int)
	go func() {
		done <- Run(ctx, w.env(nil, "", &out, &errs), w.local, []string{"get", "scalesets", "--watch"})
	}()
	waitFor(t, &out, "hello:1.0.0   1.0.0     4")
	w.run("scale", "hello", "12")
	waitFor(t, &out, "hello:1.0.0   1.0.0     12")
	w.stop() // the server is restarted
	waitFor(t, &errs, "trying again")
	w.start()
	w.run("scale", "hello", "7")
	waitFor(t, &out, "hello:1.0.0   1.0.0     7")
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("Ctrl-C ended it with %d: %s", code, errs.String())
	}
	if n := strings.Count(out.String(), "hello"); n != 6 { // three rows, the name and the image in each
		t.Errorf("a change was printed twice or not at all:\n%s", out.String())
	}
}

func TestGetWatchJSONLines(t *testing.T) {
	w := newWorld(t)
	put(w, scaleSet("hello", 4))
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs syncBuffer
	done := make(chan int)
	go func() {
		done <- Run(ctx, w.env(nil, "", &out, &errs), w.local, []string{"get", "token", "-w", "-o", "json"})
	}()
	waitRequest(t, w, "GET /api/v1/tokens")
	w.run("token", "create", "ci", "--role", "reader")
	waitFor(t, &out, `"type":"put"`)
	w.run("token", "revoke", "ci")
	waitFor(t, &out, `"type":"delete"`)
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	for line := range strings.Lines(out.String()) {
		var change jsonChange
		decodeJSON(t, line, &change)
	}
}
