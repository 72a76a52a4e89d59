package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// doc writes a document around a spec.
func doc(kind, name, spec string) []byte {
	return fmt.Appendf(nil, `{"kind":%q,"name":%q,"spec":%s}`, kind, name, spec)
}

func compact(t *testing.T, raw []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("decode %s: %v", raw, err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestDecodeFillsInTheDefaults(t *testing.T) {
	for _, c := range []struct{ kind, name, spec, want string }{
		{KindScaleSet, "hello", `{"image":"hello:1.0.0"}`, `{
			"image":"hello:1.0.0","capacity":1,"stopTimeout":"10s","dataRetention":"24h",
			"health":{"interval":"1s","timeout":"1s","unhealthyThreshold":3,"healthyThreshold":1,"gracePeriod":"30s"},
			"upgradePolicy":{"mode":"BlueGreen","rollbackOnFailure":true,
				"blueGreen":{"startTimeout":"5m","bakeTime":"10s","keepPrevious":"5m","maxErrorRate":"5%","minRequests":50,
				"promotion":"Automatic","minSample":100,"requireAnalysis":false}}}`},
		{KindLoadBalancer, "front", `{"listen":"127.0.0.1:8080","backend":"hello"}`, `{
			"listen":"127.0.0.1:8080","protocol":"http","backendProtocol":"http1","backend":"hello","drainTimeout":"30s","queueTimeout":"5s",
			"limits":{"maxHeaderBytes":"64KiB","maxBodyBytes":0,"maxConnections":20000,"maxConnectionsPerClient":0,
				"headerTimeout":"10s","requestTimeout":"0s","idleTimeout":"1m15s","maxQueue":1000}}`},
		{KindLoadBalancer, "front", `{"listen":":0","routes":[{"backend":{"addresses":["127.0.0.1:9000"]}}],"probe":{"path":"/up"}}`, `{
			"listen":":0","protocol":"http","backendProtocol":"http1","drainTimeout":"30s","queueTimeout":"5s",
			"routes":[{"backend":{"addresses":["127.0.0.1:9000"]}}],
			"probe":{"path":"/up","interval":"1s","timeout":"1s","unhealthyThreshold":2,"healthyThreshold":1},
			"limits":{"maxHeaderBytes":"64KiB","maxBodyBytes":0,"maxConnections":20000,"maxConnectionsPerClient":0,
				"headerTimeout":"10s","requestTimeout":"0s","idleTimeout":"1m15s","maxQueue":1000}}`},
		{KindImage, "team/web", `{}`, `{"osType":"Linux"}`},
		{KindImageVersion, "web:1.0.0", `null`, `{"excludeFromLatest":false}`},
		{KindToken, "ci", `{"role":"Publisher"}`, `{"role":"Publisher"}`},
	} {
		d, err := Decode(c.kind, doc(c.kind, c.name, c.spec))
		if err != nil {
			t.Errorf("%s %s: %v", c.kind, c.spec, err)
			continue
		}
		if got, want := compact(t, d.Spec), compact(t, []byte(c.want)); got != want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.kind, c.spec, got, want)
		}
		if err := Validate(d); err != nil {
			t.Errorf("what was decoded is not valid: %v", err)
		}
		again, err := Decode(c.kind, mustJSON(t, d))
		if err != nil || string(again.Spec) != string(d.Spec) {
			t.Errorf("decoded again: %s, %v", again.Spec, err)
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A zero or a false that is written counts: the default is for what is absent or null.
func TestDecodeKeepsAnExplicitZero(t *testing.T) {
	d, err := Decode("", doc(KindScaleSet, "hello", `{"image":"hello","capacity":0,"stopTimeout":"0s","dataRetention":"0s","health":{"gracePeriod":"PT0S","interval":null},
		"upgradePolicy":{"rollbackOnFailure":false,"blueGreen":{"bakeTime":"0s","keepPrevious":0,"maxErrorRate":"0%","minRequests":0}}}`))
	if err != nil {
		t.Fatal(err)
	}
	set, err := From[ScaleSetSpec, ScaleSetStatus](d)
	if err != nil {
		t.Fatal(err)
	}
	s, b := set.Spec, set.Spec.UpgradePolicy.BlueGreen
	if s.Capacity != 0 || s.StopTimeout != 0 || s.DataRetention != 0 || s.Health.GracePeriod != 0 || s.UpgradePolicy.RollbackOnFailure ||
		b.BakeTime != 0 || b.KeepPrevious != 0 || b.MaxErrorRate != 0 || b.MinRequests != 0 {
		t.Errorf("an explicit zero was overwritten: %s", d.Spec)
	}
	if s.Health.Interval != Duration(time.Second) || b.StartTimeout != Duration(5*time.Minute) {
		t.Errorf("an absent field has no default: %s", d.Spec)
	}

	d, err = Decode("", doc(KindLoadBalancer, "front", `{"listen":"127.0.0.1:0","backend":"hello","limits":{"maxHeaderBytes":0,"maxConnections":0,"headerTimeout":"0s","idleTimeout":0,"maxQueue":0},"queueTimeout":"0s","drainTimeout":"0s"}`))
	if err != nil {
		t.Fatal(err)
	}
	lb, err := From[LoadBalancerSpec, LoadBalancerStatus](d)
	if err != nil || lb.Spec.Limits != (LoadBalancerLimits{}) || lb.Spec.QueueTimeout != 0 || lb.Spec.DrainTimeout != 0 {
		t.Errorf("an explicit zero was overwritten: %s, %v", d.Spec, err)
	}
}

func TestDecodeTakesBackWhatWasRead(t *testing.T) {
	d, err := Decode(KindScaleSet, []byte(`{"kind":"ScaleSet","name":"hello","labels":{"team":"a","level":1.10},"annotations":{},"spec":{"image":"hello"},
		"revision":12,"generation":3,"created":"2026-01-31T12:00:00Z","status":{"anything":[1]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if d.Revision != 12 || d.Generation != 0 || !d.Created.IsZero() || d.Status != nil || d.Labels["team"] != "a" || d.Labels["level"] != "1.10" {
		t.Errorf("decoded as %+v", d)
	}
}

func TestDecodeKeepsTheTextOfEnv(t *testing.T) {
	d, err := Decode("", doc(KindScaleSet, "hello", `{"image":"hello","env":{"A":1.10,"B":true,"C":"yes","D":1e3,"E":123456789012345678901234567890,"F":"","G":-0.0}}`))
	if err != nil {
		t.Fatal(err)
	}
	set, err := From[ScaleSetSpec, ScaleSetStatus](d)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"A": "1.10", "B": "true", "C": "yes", "D": "1e3", "E": "123456789012345678901234567890", "F": "", "G": "-0.0"} {
		if got := set.Spec.Env[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// refused are documents that must be refused, with every pointer and a part of its detail.
var refused = []struct {
	name string
	raw  []byte
	code Code
	want map[string]string
}{
	{"a misspelt field deep down", doc(KindScaleSet, "hello", `{"image":"hello","upgradePolicy":{"blueGreen":{"bakeTim":"1s"}}}`), CodeInvalid,
		map[string]string{"/spec/upgradePolicy/blueGreen/bakeTim": "unknown field; did you mean bakeTime?"}},
	{"wrong case", doc(KindScaleSet, "hello", `{"image":"hello","Capacity":2}`), CodeInvalid, map[string]string{"/spec/Capacity": "did you mean capacity?"}},
	{"the right field in the wrong place", doc(KindScaleSet, "hello", `{"image":"hello","startTimeout":"1s","path":"/"}`), CodeInvalid,
		map[string]string{"/spec/startTimeout": "did you mean /spec/upgradePolicy/blueGreen/startTimeout?", "/spec/path": "did you mean /spec/health/path?"}},
	{"an unknown field", doc(KindScaleSet, "hello", `{"image":"hello","replicasWanted":2}`), CodeInvalid, map[string]string{"/spec/replicasWanted": "there are image, capacity"}},
	{"unknown fields of the envelope", []byte(`{"kind":"ScaleSet","name":"hello","apiVersion":"v1","capacity":2,"label":{},"spec":{"image":"hello"}}`), CodeInvalid,
		map[string]string{"/apiVersion": "unknown field", "/capacity": "did you mean /spec/capacity?", "/label": "did you mean labels?"}},
	{"unknown fields in lists", doc(KindLoadBalancer, "front", `{"listen":":80","routes":[{"backend":"a"},{"hst":"b","backend":{"adresses":[]},"path":"/x"}]}`), CodeInvalid,
		map[string]string{"/spec/routes/1/hst": "did you mean host?", "/spec/routes/1/backend/adresses": "did you mean addresses?"}},
	{"everything at once", doc(KindScaleSet, "Hello", `{"image":"hello:1","capacity":-1,"comand":["x"],"env":{"A=B":"x"},"health":{"path":"healthz","timeout":"0s"},"upgradePolicy":{"mode":"BlueGren"}}`), CodeInvalid,
		map[string]string{"/name": "is not a name", "/spec/image": "is not a version", "/spec/capacity": "write 0 to 10000", "/spec/comand": "did you mean command?",
			"/spec/env/A=B": "cannot name", "/spec/health/path": "begins with /", "/spec/health/timeout": "write 1ms to 1h", "/spec/upgradePolicy/mode": "did you mean BlueGreen?"}},
	{"wrong types", doc(KindScaleSet, "hello", `{"image":1.0,"capacity":"4","command":"./server","env":["A=1"],"resources":{"cpu":"half","memory":true,"pids":1.5},
		"stopTimeout":10,"health":"/healthz","upgradePolicy":{"mode":5,"rollbackOnFailure":"yes","blueGreen":{"maxErrorRate":[],"bakeTime":{}}}}`), CodeInvalid,
		map[string]string{"/spec/image": "put it in quotes", "/spec/capacity": "whole number, for example 3, not \"4\"", "/spec/command": "expected a list", "/spec/env": "expected an object of names and text",
			"/spec/resources/cpu": "expected a number", "/spec/resources/memory": `for example "64KiB"`, "/spec/resources/pids": "whole number", "/spec/stopTimeout": `for example "30s"`,
			"/spec/health": "expected an object with path, process, interval", "/spec/upgradePolicy/mode": "put it in quotes", "/spec/upgradePolicy/rollbackOnFailure": "true or false",
			"/spec/upgradePolicy/blueGreen/maxErrorRate": `for example "5%"`, "/spec/upgradePolicy/blueGreen/bakeTime": `for example "30s"`}},
	{"doubles", []byte(`{"kind":"ScaleSet","name":"hello","name":"other","spec":{"image":"hello","image":"other","env":{"A":"1","A":"2"},"health":{"path":"/a","path":"/b"}}}`), CodeInvalid,
		map[string]string{"/name": "twice", "/spec/image": "twice", "/spec/env/A": "twice", "/spec/health/path": "twice"}},
	{"nulls in collections", doc(KindScaleSet, "hello", `{"image":"hello","command":[null],"env":{"A":null,"B":{}}}`), CodeInvalid,
		map[string]string{"/spec/command/0": "null", "/spec/env/A": `write ""`, "/spec/env/B": "expected text"}},
	{"numbers beyond their range", doc(KindScaleSet, "hello", `{"image":"hello","capacity":99999999999999999999,"resources":{"cpu":1e999}}`), CodeInvalid,
		map[string]string{"/spec/capacity": "whole number", "/spec/resources/cpu": "expected a number"}},
	{"no name", []byte(`{"kind":"ScaleSet","spec":{"image":"hello"}}`), CodeInvalid, map[string]string{"/name": "a name is needed"}},
	{"no spec", []byte(`{"kind":"ScaleSet","name":"hello"}`), CodeInvalid, map[string]string{"/spec/image": "for example hello:1.0.0"}},
	{"spec is a list", doc(KindScaleSet, "hello", `[]`), CodeInvalid, map[string]string{"/spec": "expected an object with image, capacity"}},
	{"no kind", []byte(`{"name":"hello"}`), CodeInvalid, map[string]string{"/kind": "for example ScaleSet"}},
	{"kind in the wrong case", doc("scaleset", "hello", `{}`), CodeInvalid, map[string]string{"/kind": "did you mean ScaleSet?"}},
	{"unknown kind", doc("Scaleset2", "hello", `{}`), CodeInvalid, map[string]string{"/kind": "did you mean ScaleSet?"}},
	{"a kind of a later version", doc("Topic", "hello", `{}`), CodeUnsupported, map[string]string{"/kind": "not yet supported"}},
	{"a kind that is not written", doc(KindRollout, "hello-1", `{}`), CodeInvalid, map[string]string{"/kind": "drover rollout start"}},
	{"a field of a later version", doc(KindScaleSet, "hello", `{"image":"hello","zones":["1"],"upgradePolicy":{"mode":"Rolling","rollingUpgradePolicy":{"maxSurge":true}}}`), CodeUnsupported,
		map[string]string{"/spec/zones": "zones is not yet supported", "/spec/upgradePolicy/mode": "Rolling is not yet supported", "/spec/upgradePolicy/rollingUpgradePolicy": "not yet supported"}},
	{"later and wrong", doc(KindScaleSet, "hello", `{"image":"hello","zones":["1"],"capacity":-1}`), CodeInvalid,
		map[string]string{"/spec/zones": "not yet supported", "/spec/capacity": "0 to 10000"}},
	{"escaped pointers", doc(KindScaleSet, "hello", `{"image":"hello","env":{"a/b~c=":"x"}}`), CodeInvalid, map[string]string{"/spec/env/a~1b~0c=": "cannot name"}},
	{"bad labels", []byte(`{"kind":"Image","name":"web","labels":{"a b":"x","k":"` + strings.Repeat("x", 300) + `","":"y"}}`), CodeInvalid,
		map[string]string{"/labels/a b": "is not a key", "/labels/k": "longer than 256", "/labels/": "is not a key"}},
}

func TestDecodeRefuses(t *testing.T) {
	for _, c := range refused {
		_, err := Decode("", c.raw)
		expectFields(t, c.name, err, c.code, c.want)
	}
}

// expectFields checks that err is coded and has exactly these pointers.
func expectFields(t *testing.T, name string, err error, code Code, want map[string]string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code != code {
		t.Errorf("%s: %v; want code %s", name, err, code)
		return
	}
	for _, f := range e.Fields {
		if detail, ok := want[f.Pointer]; !ok || !strings.Contains(f.Detail, detail) {
			t.Errorf("%s: %s: %s; want %q", name, f.Pointer, f.Detail, detail)
		}
	}
	if len(e.Fields) != len(want) {
		t.Errorf("%s: %d problems were told, want %d: %v", name, len(e.Fields), len(want), err)
	}
}

func TestDecodeRefusesWhatIsNoDocument(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "empty",
		"  \n":                            "empty",
		"{\n \"kind\": \"ScaleSet\",,\n}": "line 2, column 21",
		`{"kind":"ScaleSet"`:              "not JSON",
		`{} {}`:                           "not JSON",
		`[]`:                              "a document is an object",
		`"ScaleSet"`:                      "a document is an object",
		"{\"kind\":\"\xff\"}":             "not UTF-8",
		strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100): "nested more than",
		strings.Repeat(`[`, 1_000_000):                                "not JSON",
	} {
		_, err := Decode(KindScaleSet, []byte(in))
		if !IsCode(err, CodeInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v; want %q", in, err, want)
		}
	}
}

func TestDecodeInsistsOnTheKind(t *testing.T) {
	_, err := Decode(KindLoadBalancer, doc(KindScaleSet, "hello", `{"image":"hello"}`))
	expectFields(t, "another kind", err, CodeInvalid, map[string]string{"/kind": "expected LoadBalancer here, not ScaleSet"})
	d, err := Decode(KindScaleSet, []byte(`{"name":"hello","spec":{"image":"hello"}}`))
	if err != nil || d.Kind != KindScaleSet {
		t.Errorf("the kind was not filled in: %v, %v", d, err)
	}
}

func TestDecodeTellsABoundedNumberOfProblems(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"image":"hello"`)
	for i := range 10_000 {
		fmt.Fprintf(&b, `,"x%d":1`, i)
	}
	b.WriteString("}")
	_, err := Decode("", doc(KindScaleSet, "hello", b.String()))
	if e, ok := errors.AsType[*Error](err); !ok || len(e.Fields) != maxFields {
		t.Errorf("%T has not %d problems", err, maxFields)
	}
}

// Every row of the table of later fields is refused as such and not by accident:
// no such field exists yet, and once it does its row must go.
func TestLaterFieldsAreRefused(t *testing.T) {
	for _, l := range later {
		if l.kind == KindInstance {
			continue // not written by hand at all
		}
		value := `{}`
		if l.value != "" {
			value = fmt.Sprintf("%q", l.value)
		}
		spec := value
		parts := strings.Split(strings.TrimPrefix(l.pointer, "/spec/"), "/")
		for i := len(parts) - 1; i >= 0; i-- {
			spec = fmt.Sprintf(`{%q:%s}`, parts[i], spec)
		}
		_, err := Decode(l.kind, doc(l.kind, "hello", withRequired(l.kind, spec)))
		expectFields(t, l.pointer, err, CodeUnsupported, map[string]string{l.pointer: "is not yet supported"})
	}
}

func withRequired(kind, spec string) string {
	required := map[string]string{KindScaleSet: `"image":"hello",`, KindLoadBalancer: `"listen":":80","backend":"hello",`}
	return "{" + required[kind] + strings.TrimPrefix(spec, "{")
}

func FuzzDecode(f *testing.F) {
	f.Add(doc(KindScaleSet, "hello", `{"image":"hello:1.0.0","capacity":3,"env":{"A":1.10},"resources":{"cpu":0.5,"memory":"1GiB"}}`))
	f.Add(doc(KindLoadBalancer, "front", `{"listen":":80","routes":[{"host":"*.a","path":"/x","backend":{"addresses":["a:1"]}}],"probe":{}}`))
	f.Add(doc(KindImageVersion, "web:1.0.0", `{"revoked":{"at":"2026-01-31T12:00:00Z"}}`))
	f.Add(doc(KindToken, "ci", `{"role":"Owner","scopes":["image/*"]}`))
	f.Add([]byte(`{"kind":"ScaleSet","kind":1}`))
	for _, c := range refused {
		f.Add(c.raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Decode("", raw)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("an error without a code: %v", err)
			}
			return
		}
		again, err := Decode(d.Kind, mustJSON(t, d))
		if err != nil || string(again.Spec) != string(d.Spec) {
			t.Fatalf("%s\nis decoded again as %s, %v", d.Spec, again.Spec, err)
		}
	})
}
