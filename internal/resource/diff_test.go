package resource

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	d := func(labels map[string]string, spec string) Document {
		return Document{Meta: Meta{Kind: KindScaleSet, Name: "hello", Labels: labels, Revision: 3, Generation: 2}, Spec: json.RawMessage(spec)}
	}
	for name, c := range map[string]struct {
		from, to Document
		want     string
	}{
		"equal, in another order": {d(nil, `{"a":1,"b":{"c":"x"}}`), d(map[string]string{}, `{"b":{"c":"x"},"a":1}`), ""},
		"only the server's part":  {Document{Meta: Meta{Revision: 1}}, Document{Meta: Meta{Revision: 2}}, ""},
		"changed":                 {d(nil, `{"capacity":3}`), d(nil, `{"capacity":5}`), `~ /spec/capacity: 3 → 5`},
		"added and removed": {d(map[string]string{"a": "1"}, `{"env":{"A":"1"}}`), d(map[string]string{"b": "2"}, `{"root":"host"}`),
			"- /labels/a: \"1\"\n+ /labels/b: \"2\"\n- /spec/env/A: \"1\"\n+ /spec/root: \"host\""},
		"new":                 {Document{}, d(map[string]string{"a": "1"}, `{"image":"hello","health":{"path":"/<&>"}}`), "+ /labels/a: \"1\"\n+ /spec/health/path: \"/<&>\"\n+ /spec/image: \"hello\""},
		"deleted":             {d(nil, `{"image":"hello"}`), Document{}, `- /spec/image: "hello"`},
		"an item of a list":   {d(nil, `{"command":["a","b"]}`), d(nil, `{"command":["a","c"]}`), `~ /spec/command/1: "b" → "c"`},
		"a longer list":       {d(nil, `{"command":["a"]}`), d(nil, `{"command":["a","c"]}`), `~ /spec/command: ["a"] → ["a","c"]`},
		"another type":        {d(nil, `{"backend":"hello"}`), d(nil, `{"backend":{"addresses":["a:1"]}}`), `~ /spec/backend: "hello" → {"addresses":["a:1"]}`},
		"an empty object":     {d(nil, `{}`), d(nil, `{"resources":{}}`), `+ /spec/resources: {}`},
		"a name with a slash": {d(nil, `{"env":{"a/b":"1"}}`), d(nil, `{"env":{"a/b":"2"}}`), `~ /spec/env/a~1b: "1" → "2"`},
		"numbers are exact":   {d(nil, `{"n":12345678901234567890}`), d(nil, `{"n":12345678901234567891}`), `~ /spec/n: 12345678901234567890 → 12345678901234567891`},
	} {
		changes, err := Diff(c.from, c.to)
		lines := make([]string, len(changes))
		for i, change := range changes {
			lines[i] = change.String()
		}
		if got := strings.Join(lines, "\n"); err != nil || got != c.want {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, c.want)
		}
	}
	if _, err := Diff(d(nil, `{`), Document{}); err == nil {
		t.Error("a damaged document was compared")
	}
}
