package manifest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// writer writes random documents as YAML in random styles, and as the JSON that
// must come out.
type writer struct{ t *rapid.T }

func (w writer) one(label string, of ...string) string { return rapid.SampledFrom(of).Draw(w.t, label) }

// scalar returns a single value as YAML and as JSON.
func (w writer) scalar() (yaml, want string) {
	text := w.one("text", "hello", "a b  c", "a#b", "http://x/y?z=1&k=2", "127.0.0.1:80", "it's", "-x", "--flag=x", "1.2.3", "00:05:00", "{{x}}", "a: b # c", "- x", "", "null", "12", "é", "two\nlines", "  blanks  ", "*x", "<<")
	encoded, _ := json.Marshal(text)
	switch w.one("style", "number", "double", "single", "plain") {
	case "number":
		n := w.one("number", "0", "12", "-3", "1.10", "true", "false", "null")
		return n, n
	case "single":
		if !strings.Contains(text, "\n") {
			return "'" + strings.ReplaceAll(text, "'", "''") + "'", string(encoded)
		}
	case "plain":
		if !strings.ContainsAny(text, "\n{*<") && !strings.Contains(text, ": ") && !strings.HasPrefix(text, "- ") && strings.TrimSpace(text) == text &&
			text != "" && text != "null" && text != "12" {
			return text, string(encoded)
		}
	}
	return string(encoded), string(encoded)
}

func (w writer) flow(depth int) (yaml, want string) {
	n := rapid.IntRange(0, 3).Draw(w.t, "n")
	var ys, js []string
	list := rapid.Bool().Draw(w.t, "list")
	for i := range n {
		y, j := strings.Clone(`"x, y"`), `"x, y"`
		if depth < 2 {
			y, j = w.flow(depth + 1)
		}
		if !list {
			y, j = fmt.Sprintf("k%d: %s", i, y), fmt.Sprintf(`"k%d":%s`, i, j)
		}
		ys, js = append(ys, y), append(js, j)
	}
	y, j := strings.Join(ys, w.one("comma", ", ", ",", ",\n        ")), strings.Join(js, ",")
	if list {
		return "[" + y + "]", "[" + j + "]"
	}
	return "{" + y + "}", "{" + j + "}"
}

// after returns what follows a field's colon or a list's dash.
func (w writer) after(indent string, depth int) (yaml, want string) {
	comment := w.one("comment", "", "", " # a: comment")
	switch style := w.one("kind", "scalar", "scalar", "literal", "flow", "object", "list"); {
	case style == "literal":
		return " |" + comment + "\n" + indent + "  first: x\n\n" + indent + "    - second # no comment\n", `"first: x\n\n  - second # no comment\n"`
	case style == "flow":
		y, j := w.flow(0)
		return " " + y + comment + "\n", j
	case style == "object" && depth < 4:
		y, j := w.object(indent+w.one("step", "  ", "    ", " "), depth+1)
		return comment + "\n" + y, j
	case style == "list" && depth < 4:
		y, j := w.list(indent+w.one("step", "", "  "), depth+1)
		return comment + "\n" + y, j
	}
	y, j := w.scalar()
	return " " + y + comment + "\n", j
}

func (w writer) between(indent string) string {
	return w.one("between", "", "", "\n", indent+"# comment\n", "# comment: [\n")
}

func (w writer) object(indent string, depth int) (yaml, want string) {
	var out, js []string
	for i := range rapid.IntRange(1, 4).Draw(w.t, "fields") {
		name := fmt.Sprintf("%s%d", w.one("name", "key", "a.b", "a/b", "on", "x-y", "1"), i)
		y, j := w.after(indent, depth)
		out = append(out, w.between(indent)+indent+name+":"+y)
		js = append(js, fmt.Sprintf("%q:%s", name, j))
	}
	return strings.Join(out, ""), "{" + strings.Join(js, ",") + "}"
}

func (w writer) list(indent string, depth int) (yaml, want string) {
	var out, js []string
	for range rapid.IntRange(1, 3).Draw(w.t, "items") {
		y, j := w.after(indent+"  ", depth)
		if rapid.Bool().Draw(w.t, "compact") {
			y, j = w.object(indent+"  ", depth+1)
			y = " " + strings.TrimLeft(strings.TrimPrefix(y, "\n"), " ")
			if strings.HasPrefix(y, " #") {
				y = "\n" + indent + "  " + y[1:] // a comment before the first field
			}
		}
		out = append(out, w.between(indent)+indent+"-"+y)
		js = append(js, j)
	}
	return strings.Join(out, ""), "[" + strings.Join(js, ",") + "]"
}

// Whatever the style: what is read is what was written, and every field is found
// at the line where it stands.
func TestWhatIsReadIsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		yaml, want := writer{t}.object("", 0)
		roots, errs := parseYAML([]byte(yaml))
		if len(errs) > 0 || len(roots) != 1 {
			t.Fatalf("%s\n%d documents, %v", yaml, len(roots), errs)
		}
		got, err := encode(roots[0])
		if err != nil || string(got) != want {
			t.Fatalf("%s\n got %s, %v\nwant %s", yaml, got, err, want)
		}
		lines := strings.Split(yaml, "\n")
		for _, f := range roots[0].fields {
			if p := roots[0].find("/" + strings.ReplaceAll(f.name, "/", "~1")); !strings.HasPrefix(lines[p.line-1], f.name+":") {
				t.Fatalf("%s\n%s is found in line %d", yaml, f.name, p.line)
			}
		}
	})
}
