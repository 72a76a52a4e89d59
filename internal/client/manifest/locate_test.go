package manifest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

func TestLocate(t *testing.T) {
	d := one(t, "hello.yaml", `# comment
kind: ScaleSet
name: hello
labels: {a/b: x,
  c: y}
spec:
  base: &base
    timeout: 0s
  capacity: -1
  command:
  - ./server

  - ""
  health:
    path: healthz
    <<: *base
  env: {A: 1, "B C": 2}
`)
	for pointer, want := range map[string]string{
		"":                      "hello.yaml:2: ScaleSet hello: wrong",
		"/kind":                 "hello.yaml:2: /kind: wrong",
		"/name":                 "hello.yaml:3: /name: wrong",
		"/labels/a~1b":          "hello.yaml:4: /labels/a~1b: wrong",
		"/labels/c":             "hello.yaml:5: /labels/c: wrong",
		"/spec/capacity":        "hello.yaml:9: /spec/capacity: wrong",
		"/spec/command/0":       "hello.yaml:11: /spec/command/0: wrong",
		"/spec/command/1":       "hello.yaml:13: /spec/command/1: wrong",
		"/spec/command/7":       "hello.yaml:10: /spec/command/7: wrong",
		"/spec/health/path":     "hello.yaml:15: /spec/health/path: wrong",
		"/spec/health/timeout":  "hello.yaml:8: /spec/health/timeout: wrong", // where the anchor has it
		"/spec/health/interval": "hello.yaml:14: /spec/health/interval: wrong",
		"/spec/env/B C":         "hello.yaml:17: /spec/env/B C: wrong",
		"/spec/image":           "hello.yaml:6: /spec/image: wrong",
		"/spec/upgradePolicy/a": "hello.yaml:6: /spec/upgradePolicy/a: wrong",
		"/annotations/x":        "hello.yaml:2: /annotations/x: wrong",
	} {
		err := Locate([]Document{d}, &resource.Error{Code: resource.CodeInvalid, Fields: []resource.FieldError{{Pointer: "/0" + pointer, Detail: "wrong"}}})
		if err.Error() != want {
			t.Errorf("%s: %q, want %q", pointer, err, want)
		}
		if !resource.IsCode(err, resource.CodeInvalid) {
			t.Errorf("%s lost its code", pointer)
		}
	}
}

func TestLocateInJSON(t *testing.T) {
	d := one(t, "a.json", "{\n  \"kind\": \"ScaleSet\",\n  \"spec\": {\"env\": {\n    \"A\": \"1\",\n\n    \"B\" : {}}, \"list\": [1,\n 2]\n  }}")
	for pointer, want := range map[string]string{"/kind": "a.json:2", "/spec/env/B": "a.json:6", "/spec/list/1": "a.json:7", "/spec/x": "a.json:3", "": "a.json:1"} {
		if got := d.problem(pointer, "wrong").where(); got != want {
			t.Errorf("%s is at %s, want %s", pointer, got, want)
		}
	}
	if p := d.problem("/spec/env/B", ""); p.Column != 5 {
		t.Errorf("column %d", p.Column)
	}
}

func TestLocateSeveralDocuments(t *testing.T) {
	docs, err := read(t, "a.yaml", "kind: ScaleSet\nname: a\n---\nkind: LoadBalancer\nname: b\nspec:\n  listen: x\n")
	if err != nil {
		t.Fatal(err)
	}
	refusal := &resource.Error{Code: resource.CodeUnsupported, Fields: []resource.FieldError{
		{Pointer: "/0/spec/image", Detail: "missing"}, {Pointer: "/1/spec/listen", Detail: "no port"}, {Pointer: "/1", Detail: "forbidden"}, {Pointer: "/header/If-Match", Detail: "bad"}, {Pointer: "/9/name", Detail: "odd"},
	}}
	got := Locate(docs, fmt.Errorf("apply: %w", refusal))
	want := "a.yaml:1: /spec/image: missing\na.yaml:7: /spec/listen: no port\na.yaml:4: LoadBalancer b: forbidden\n/header/If-Match: bad\n/9/name: odd"
	if got.Error() != want || !resource.IsCode(got, resource.CodeUnsupported) {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestLocateLeavesOtherErrorsAlone(t *testing.T) {
	d := one(t, "a.yaml", "kind: ScaleSet\nname: hello\n")
	plain := errors.New("connection refused")
	if Locate([]Document{d}, plain) != plain || Locate([]Document{d}, nil) != nil {
		t.Error("an error without a code was changed")
	}
	conflict := resource.Errorf(resource.CodeRolloutInProgress, "hello-3 runs")
	if Locate([]Document{d}, conflict) != error(conflict) {
		t.Error("a refusal of the whole was changed")
	}
}

// The whole way: what the server's own decoder says, in the user's file.
func TestLocateWhatTheDecoderSays(t *testing.T) {
	d := one(t, "hello.yaml", "kind: ScaleSet\nname: hello\nspec:\n  image: hello\n  upgradePolicy:\n    mode: BlueGren\n    blueGreen: {bakeTim: 10s}\n")
	_, err := resource.Decode("", d.JSON)
	refusal, ok := errors.AsType[*resource.Error](err)
	if !ok {
		t.Fatal(err)
	}
	for i := range refusal.Fields {
		refusal.Fields[i].Pointer = "/0" + refusal.Fields[i].Pointer
	}
	want := "hello.yaml:7: /spec/upgradePolicy/blueGreen/bakeTim: unknown field; did you mean bakeTime?\n" +
		`hello.yaml:6: /spec/upgradePolicy/mode: "BlueGren" is not known; did you mean BlueGreen?`
	if got := Locate([]Document{d}, refusal); got == nil || got.Error() != want {
		t.Errorf("\n got %v\nwant %s", got, want)
	}
}
