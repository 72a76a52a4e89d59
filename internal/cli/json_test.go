package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/resource"
)

// TestEveryCommandHasJSON: a command that starts, changes or shows something can
// be used by a script.
func TestEveryCommandHasJSON(t *testing.T) {
	text := []string{"drover up", "drover logs"} // a log each: the server's and an instance's
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if len(cmd.Commands()) == 0 && (cmd.Flag("output") != nil) == slices.Contains(text, cmd.CommandPath()) {
			t.Errorf("%s: has -o: %v", cmd.CommandPath(), cmd.Flag("output") != nil)
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit((&cli{}).rootCommand())
}

// TestJSONResults runs commands one after the other; each prints one JSON value
// that says this, and nothing else.
func TestJSONResults(t *testing.T) {
	w := newWorld(t)
	w.backup = tarOf(t, "documents")
	w.local.Restore = func(context.Context, string, string) error { return nil }
	file := w.write("hello.yaml", helloYAML)
	program := filepath.Join(w.data, "program")
	if err := os.Mkdir(program, 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("program/server", "#!/bin/sh\n")
	for _, tt := range []struct {
		args string
		code int
		want string // compact, and contained in the result
	}{
		{"version", 0, `{"version":"`},
		{"diff -f " + file, 1, `[{"kind":"ScaleSet","name":"hello","action":"create","changes":[{"pointer":"/spec/capacity","to":2},`},
		{"apply -f " + file + " --dry-run", 0, `[{"kind":"ScaleSet","name":"hello","action":"create",`},
		{"apply -f " + file, 0, `},{"kind":"LoadBalancer","name":"front","action":"create",`},
		{"apply -f " + file, 0, `[{"kind":"ScaleSet","name":"hello","action":"unchanged","changes":[],"rollout":false,"warnings":[]},`},
		{"diff -f " + file, 0, `[]`},
		{"scale hello 3", 0, `{"kind":"ScaleSet","name":"hello",`},
		{"describe scaleset hello", 0, `{"document":{"kind":"ScaleSet","name":"hello",`},
		{"status", 0, `"sets":[{"name":"hello",`},
		{"rollout start hello --image hello:2.0.0", 0, `{"kind":"Rollout","name":"hello-1",`},
		{"rollout status hello", 0, `{"kind":"Rollout","name":"hello-1",`},
		{"rollout history hello", 0, `[{"kind":"Rollout","name":"hello-1",`},
		{"rollout pause hello-1 --for 1h", 0, `"ask":{"action":"pause","for":"1h"`},
		{"rollout resume hello-1", 0, `"ask":{"action":"resume"`},
		{"rollout promote hello-1", 0, `"ask":{"action":"promote"`},
		{"rollout cancel hello-1", 0, `"ask":{"action":"cancel"`},
		{"rollout rollback hello-1", 0, `"phase":"RollingBack"`},
		{"image push hello:1.0.0 " + program + " --entrypoint ./server", 0, `{"image":"hello:1.0.0","digest":"sha256:`},
		{"image list", 0, `[]`},
		{"token create ci --role reader", 0, `{"token":{"kind":"Token","name":"ci",`},
		{"token list", 0, `[{"kind":"Token","name":"ci",`},
		{"token revoke ci", 0, `{"kind":"Token","name":"ci","deleted":true}`},
		{"delete loadbalancer front", 0, `{"kind":"LoadBalancer","name":"front","deleted":true}`},
		{"delete scaleset hello --no-wait", 0, `{"kind":"ScaleSet","name":"hello","deleted":false}`},
		{"delete scalesets --all --no-wait", 0, `[{"kind":"ScaleSet","name":"hello","deleted":false}]`},
		{"delete loadbalancers --all", 0, `[]`},
		{"backup " + filepath.Join(w.data, "b.tar"), 0, `b.tar","bytes":`},
		{"restore " + filepath.Join(w.data, "b.tar"), 0, `{"data":"`},
		{"down", 0, `{"instances":[],"gateway":true,"server":true}`},
	} {
		got := w.run(append(strings.Fields(tt.args), "-o", "json")...)
		if got.code != tt.code || got.err != "" {
			t.Errorf("%s: exit %d, want %d: %s", tt.args, got.code, tt.code, got.err)
		}
		if text := compact(t, got.out); !strings.Contains(text, tt.want) {
			t.Errorf("%s: %s\ndoes not say %s", tt.args, text, tt.want)
		}
	}
}

// compact is the one JSON value in text on one line.
func compact(t *testing.T, text string) string {
	t.Helper()
	var v json.RawMessage
	decodeJSON(t, text, &v)
	line, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

// TestJSONErrors: one problem on standard error and nothing on standard output.
func TestJSONErrors(t *testing.T) {
	w := newWorld(t)
	bad := w.write("bad.yaml", "kind: ScaleSet\nname: hello\nspec:\n  image: hello:1.0.0\n  capasity: 2\n")
	for _, tt := range []struct {
		args string
		code int
		want problem
	}{
		{"get scaleset none", 1, problem{Code: resource.CodeNotFound, Status: 404, Title: "Not found"}},
		{"delete scaleset none", 1, problem{Code: resource.CodeNotFound, Status: 404}},
		{"get pods", 2, problem{Code: resource.CodeInvalid}},
		{"scale hello many", 2, problem{Code: resource.CodeInvalid}},
		{"apply -f " + bad, 1, problem{Code: resource.CodeInvalid, Status: 400, Errors: []badField{{File: bad, Line: 5, Pointer: "/spec/capasity"}}}},
		{"diff -f " + bad, 2, problem{Code: resource.CodeInvalid, Errors: []badField{{File: bad, Line: 5, Pointer: "/spec/capasity"}}}},
		{"backup /none/b.tar", 1, problem{Code: codeFailed}},
	} {
		got := w.run(append(strings.Fields(tt.args), "-o", "json")...)
		var p problem
		decodeJSON(t, got.err, &p)
		if got.code != tt.code || got.out != "" || p.Code != tt.want.Code || p.Detail == "" || p.Type != "urn:drover:problem:"+string(p.Code) ||
			tt.want.Status != 0 && p.Status != tt.want.Status || tt.want.Title != "" && p.Title != tt.want.Title {
			t.Errorf("%s: exit %d, %q, %s", tt.args, got.code, got.out, got.err)
		}
		for i, f := range tt.want.Errors {
			if i >= len(p.Errors) || p.Errors[i].File != f.File || p.Errors[i].Line != f.Line || p.Errors[i].Pointer != f.Pointer {
				t.Errorf("%s: %+v is not told in %s", tt.args, f, got.err)
			}
		}
	}
	if got := w.run("get", "scaleset", "none", "-o", "yaml"); !strings.Contains(got.err, "code: not_found\n") {
		t.Errorf("as YAML: %s", got.err)
	}
}

// TestJSONWatch: the last line is the rollout as it ended, whatever happened meanwhile.
func TestJSONWatch(t *testing.T) {
	for end, code := range map[resource.RolloutPhase]int{resource.RolloutSucceeded: 0, resource.RolloutRolledBack: 1} {
		w := newWorld(t)
		put(w, scaleSet("hello", 1))
		out, errs, done := watched(t.Context(), w, "rollout", "start", "hello", "--image", "hello:2.0.0", "--watch", "-o", "json")
		waitRequest(t, w, "GET /api/v1/rollouts")
		w.stop() // what is said of that meanwhile is for people
		w.start()
		advance(w, "hello-1", end, "why")
		if got := <-done; got != code {
			t.Errorf("%s: exit %d: %s", end, got, errs.String())
		}
		var ro resource.Rollout
		decodeJSON(t, out.String(), &ro)
		if ro.Name != "hello-1" || ro.Status.Phase != end || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: %s", end, out.String())
		}
		if code == 0 {
			if errs.String() != "" {
				t.Errorf("%s: %s", end, errs.String())
			}
			continue
		}
		var p problem
		decodeJSON(t, errs.String(), &p)
		if p.Code != codeFailed || !strings.Contains(p.Detail, "RolledBack") {
			t.Errorf("%s: %+v", end, p)
		}
	}
}

// TestJSONOfNoRollout: a set that runs the model already is no failure.
func TestJSONOfNoRollout(t *testing.T) {
	w := newWorld(t)
	put(w, scaleSet("hello", 1))
	got := w.run("rollout", "start", "hello", "--image", "hello:1.0.0", "-o", "json")
	if got.code != 0 || got.out != "null\n" {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
}
