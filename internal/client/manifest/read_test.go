package manifest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

// read reads one file of that content.
func read(t *testing.T, name, content string) ([]Document, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	docs, err := Read([]string{path}, nil)
	if e, ok := errors.AsType[*Error](err); ok {
		for i := range e.Problems {
			e.Problems[i].File = filepath.Base(e.Problems[i].File)
		}
	}
	for i := range docs {
		docs[i].file = filepath.Base(docs[i].file)
	}
	return docs, err
}

func one(t *testing.T, name, content string) Document {
	t.Helper()
	docs, err := read(t, name, content)
	if err != nil || len(docs) != 1 {
		t.Fatalf("%s\nread as %d documents, %v", content, len(docs), err)
	}
	return docs[0]
}

const hello = `# The example of the quick start.
kind: ScaleSet
name: hello
labels: {tier: 1.10, on: yes}
spec:
  image: hello:1.0.0
  capacity: 3
  command: ["./server", --port, "80"]
  env:
    VERSION: 1.10
    YES: yes
    HEX: 0x1F
    NULL: null
    TILDE: ~
    EMPTY:
    QUOTED: "1.10"
    OCTAL: 010
    BOOL: True
    INF: .inf
    8080: port
    TEXT: |
      two
      lines
  resources: {cpu: .5, memory: 256MiB}
  health:
    path: /healthz
    interval: 00:00:01
---
kind: LoadBalancer
name: front
spec: {listen: "127.0.0.1:8080", backend: hello}
`

func TestReadYAML(t *testing.T) {
	docs, err := read(t, "hello.yaml", hello)
	if err != nil || len(docs) != 2 {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	want := `{"kind":"ScaleSet","name":"hello","labels":{"tier":"1.10","on":"yes"},"spec":{"image":"hello:1.0.0","capacity":3,` +
		`"command":["./server","--port","80"],"env":{"VERSION":"1.10","YES":"yes","HEX":"0x1F","NULL":"null","TILDE":"~","EMPTY":"","QUOTED":"1.10",` +
		`"OCTAL":"010","BOOL":"True","INF":".inf","8080":"port","TEXT":"two\nlines\n"},"resources":{"cpu":0.5,"memory":"256MiB"},` +
		`"health":{"path":"/healthz","interval":"00:00:01"}}}`
	if got := string(docs[0].JSON); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if docs[0].Kind != "ScaleSet" || docs[0].Name != "hello" || docs[1].Kind != "LoadBalancer" || docs[1].Name != "front" {
		t.Errorf("read as %+v", docs)
	}
	for _, d := range docs {
		if _, err := resource.Decode("", d.JSON); err != nil {
			t.Errorf("the server refuses it: %v", err)
		}
	}
}

func TestReadScalars(t *testing.T) {
	for yaml, want := range map[string]string{
		"12": "12", "-12": "-12", "+12": "12", "0x1F": "31", "0o17": "15", "0b11": "3", "1.10": "1.10", "-0.5": "-0.5", ".5": "0.5", "5.": "5", "1.5e3": "1.5e3",
		"true": "true", "TRUE": "true", "yes": `"yes"`, "on": `"on"`, "null": "null", "~": "null", "": "null", "0": "0",
		"99999999999999999999": `"99999999999999999999"`, "2030-01-01": `"2030-01-01"`, "1.2.3": `"1.2.3"`, ".inf": `".inf"`, ".nan": `".nan"`,
		`"12"`: `"12"`, `'it''s'`: `"it's"`, `"\u00e9\x41\n"`: `"éA\n"`, "!!str 12": `"12"`, "!!str true": `"true"`, "a # b": `"a"`, "a#b": `"a#b"`,
		">-\n    a\n    b": `"a b"`, "[1, a, [], {}]": `[1,"a",[],{}]`, "{a: 1, b: {c: 2}}": `{"a":1,"b":{"c":2}}`, "\n  - 1\n  -\n  - a: 1": `[1,null,{"a":1}]`,
	} {
		d := one(t, "a.yaml", "v: "+yaml+"\n")
		if got := string(d.JSON); got != `{"v":`+want+`}` {
			t.Errorf("%q is %s, want %s", yaml, got, want)
		}
	}
}

func TestReadAnchorsAndMerges(t *testing.T) {
	d := one(t, "a.yaml", `
common: &common {stopTimeout: 5s, image: "hello:1.0.0"}
more: &more
  capacity: 2
  image: other
spec:
  <<: [*common, *more]
  stopTimeout: 9s
again: *more
env: {A: &version 1.10, B: *version}
number: *version
`)
	want := `{"common":{"stopTimeout":"5s","image":"hello:1.0.0"},"more":{"capacity":2,"image":"other"},` +
		`"spec":{"stopTimeout":"9s","image":"hello:1.0.0","capacity":2},"again":{"capacity":2,"image":"other"},"env":{"A":"1.10","B":"1.10"},"number":1.10}`
	if got := string(d.JSON); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestReadManyDocuments(t *testing.T) {
	for name, c := range map[string]struct{ file, content, want string }{
		"separators":            {"a.yaml", "---\nname: a\n---\n---\n# nothing\n---\nname: b\n...\nname: c\n---  # last\nname: d", "a b c d"},
		"windows line ends":     {"a.yaml", "---\r\nname: a\r\n---\r\nname: b\r\n", "a b"},
		"byte order mark":       {"a.yaml", "\ufeffname: a\n", "a"},
		"directive":             {"a.yaml", "%YAML 1.2\n# c\n---\nname: a\n...\n%YAML 1.2\n---\nname: b", "a b"},
		"on the marker's line":  {"a.yaml", "--- {name: a}\n--- {name: b}\n", "a b"},
		"a dash is no marker":   {"a.yaml", "name: a\ntext: |\n  ---\n  x\nlist:\n- ----\n", "a"},
		"list":                  {"a.yaml", "- name: a\n- name: b\n", "a b"},
		"what the API lists":    {"a.json", `{"items":[{"name":"a"},{"name":"b"}],"revision":7}`, "a b"},
		"JSON list":             {"a.json", `[{"name":"a"},{"name":"b"}]`, "a b"},
		"JSON one after other":  {"a.json", "{\"name\":\"a\"}\n{\"name\":\"b\"}", "a b"},
		"JSON in a YAML file":   {"a.yaml", "{\n\t\"name\":\"a\"\n}", "a"},
		"YAML that begins so":   {"a.yaml", "{name: a} # comment\n---\n{name: b}", "a b"},
		"JSON with tabs, after": {"a.yaml", "# JSON is YAML\n{\"name\": \"a\"}", "a"},
	} {
		docs, err := read(t, c.file, c.content)
		var names []string
		for _, d := range docs {
			names = append(names, d.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestReadJSONKeepsWhatWasWritten(t *testing.T) {
	in := `{"kind":"ScaleSet","name":"hello","spec":{"env":{"A":1.10,"B":null,"C":true,"D":"x"},"n":12345678901234567890,"list":[1,[],{}]}}`
	if got := string(one(t, "a.json", in).JSON); got != in {
		t.Errorf("\n got %s\nwant %s", got, in)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ file, content, want string }{
		"tab":                 {"a.yaml", "a:\n\tb: 1\n", "a.yaml:2: not YAML: a tab cannot indent: use blanks"},
		"open bracket":        {"a.yaml", "a: [1, 2\nb: 3\n", "a.yaml:2: not YAML: ',' or ']'"},
		"in a later document": {"a.yaml", "a: 1\n---\nb: 2\n---\nc: d: e\n", "a.yaml:5: not YAML: mapping value is not allowed"},
		"all documents":       {"a.yaml", "a: [\n---\nb: 2\n---\nc: d: e\n", "a.yaml:5: not YAML"},
		"double":              {"a.yaml", "x: {}\nspec:\n  a: 1\n  b: 2\n  a: 3\n", `a.yaml:5: the field "a" is there already, in line 3`},
		"double in a flow":    {"a.yaml", "{a: 1, 'a': 2} #", `a.yaml:1: the field "a" is there already`},
		"double in JSON":      {"a.json", "{\"a\": 1,\n \"b\": {\n \"c\": 1,\n \"c\": 2}}", `a.json:4: the field "c" is there already, in line 3`},
		"JSON syntax":         {"a.json", "{\"a\": 1,\n \"b\": }\n", "a.json:2: not JSON: invalid character '}'"},
		"JSON cut off":        {"a.json", "{\"a\": 1,\n", "a.json:2: not JSON: unexpected EOF"},
		"JSON deep":           {"a.json", strings.Repeat(`[`, 200) + strings.Repeat(`]`, 200), "nested more than 64 deep"},
		"no document":         {"a.yaml", "# nothing\n---\n", "a.yaml: has no documents"},
		"empty list":          {"a.yaml", "items: []\n", "a.yaml: has no documents"},
		"empty":               {"a.json", "", "a.json: has no documents"},
		"text":                {"a.yaml", "a: 1\n---\njust text\n", "a.yaml:3: expected a document with kind, name and spec, not text"},
		"list in a list":      {"a.yaml", "- a: 1\n- - b\n", "a.yaml:2: expected a document with kind, name and spec, not a list"},
		"not UTF-8":           {"a.yaml", "a: \xff\n", "a.yaml: is not UTF-8"},
		"unknown alias":       {"a.yaml", "a: 1\nb: *nope\n", "a.yaml:2: *nope stands for nothing"},
		"alias of itself":     {"a.yaml", "a: &a\n  b: *a\n", "a.yaml:2: *a stands for nothing"},
		"alias across":        {"a.yaml", "a: &a 1\n---\nb: *a\n", "a.yaml:3: *a stands for nothing"},
		"merge of text":       {"a.yaml", "a: &a x\nb:\n  <<: *a\n", "<< takes a mapping, not text"},
		"merge of texts":      {"a.yaml", "b:\n  <<: [x]\n", "a.yaml:2: << takes mappings only, not text"},
		"a tag":               {"a.yaml", "a: !!binary aGk=\n", "a.yaml:1: the tag !!binary cannot be used"},
		"another tag":         {"a.yaml", "a: !ruby/object:Gem {}\n", "a.yaml:1: the tag !ruby/object:Gem cannot be used"},
		"text of a list":      {"a.yaml", "a: !!str [1]\n", "a.yaml:1: not YAML"},
		"a list as a name":    {"a.yaml", "a: 1\n? [b]\n: c\n", "a.yaml:3: not YAML: found an invalid key"},
		"octal":               {"a.yaml", "capacity: 010\n", "a.yaml:1: 010 is 10 to some programs and 8 to others"},
		"item or field":       {"a.yaml", "a:\n-\nb: 1\n", "a.yaml:3: the indentation is not clear here"},
		"field or item":       {"a.yaml", "a:\n- |\n   \n- b: 1\n", "a.yaml:4: the indentation is not clear here"},
		"deep flow":           {"a.yaml", "a: " + strings.Repeat("[", 10_000), "nested more than 64 deep"},
		"deep dashes":         {"a.yaml", "a:\n  " + strings.Repeat("- ", 10_000) + "x", "nested more than 64 deep"},
		"deep indent":         {"a.yaml", indented(100), "nested more than 64 deep"},
		"many words":          {"a.yaml", "a: [" + strings.Repeat("x,", 60_000) + "]", "too large"},
		"large":               {"a.yaml", "a: " + strings.Repeat("x", maxSource), "a.yaml: is larger than 8MiB"},
		"large document":      {"a.yaml", "a: 1\n---\nb: " + strings.Repeat("x ", maxDocument/2), "a.yaml:3: the document is larger than 1MiB"},
		"bomb":                {"a.yaml", bomb(), "larger than 1MiB, with what its aliases stand for"},
		"bomb of lists":       {"a.yaml", "- &a []\n- &b [*a,*a]\n- &c [*b,*b]\n", "expected a document"},
		"bomb of merges":      {"a.yaml", mergeBomb(), "<< copies more than"},
	} {
		docs, err := read(t, c.file, c.content)
		if err == nil || !strings.Contains(err.Error(), c.want) || !resource.IsCode(err, resource.CodeInvalid) {
			t.Errorf("%s: %d documents, %.300v; want %q", name, len(docs), err, c.want)
		}
	}
}

func indented(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")
	for i := 1; i < 30; i++ {
		names := strings.Repeat(", *a"+string(rune('0'+(i-1)%10))+suffix(i-1), 9)
		b.WriteString("a" + string(rune('0'+i%10)) + suffix(i) + ": &a" + string(rune('0'+i%10)) + suffix(i) + " [" + names[2:] + "]\n")
	}
	return b.String()
}

func suffix(i int) string { return strings.Repeat("x", i/10) }

func mergeBomb() string {
	var b strings.Builder
	b.WriteString("a: &a {")
	for i := range 100 {
		b.WriteString(strings.Repeat("k", i+1) + ": 1, ")
	}
	b.WriteString("}\nb:\n  <<: [" + strings.Repeat("*a,", 1000) + "]\n")
	return b.String()
}

func TestReadFoldersFilesAndStandardInput(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"b.yml": "name: b\n", "a.yaml": "name: a\n", "c.json": `{"name":"c"}`, "README.md": "# not a document: [", "sub/d.yaml": "name: d\n", ".hidden": "x",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	docs, err := Read([]string{dir, "-", filepath.Join(dir, "sub", "d.yaml")}, strings.NewReader("name: e\n"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range docs {
		names = append(names, d.Name)
	}
	if got := strings.Join(names, " "); got != "a b c e d" {
		t.Errorf("read %s", got)
	}

	missing, empty := filepath.Join(dir, "missing.yaml"), t.TempDir()
	_, err = Read([]string{missing, empty, "-"}, strings.NewReader("a: b: c"))
	e, ok := errors.AsType[*Error](err)
	if !ok || len(e.Problems) != 3 {
		t.Fatalf("not everything that is wrong was told: %v", err)
	}
	for i, want := range []string{missing + ": cannot be read: no such file", empty + ": the folder has no .yaml", "standard input:1: not YAML"} {
		if got := e.Problems[i].String(); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestReadRefusesTwoDocumentsForOneThing(t *testing.T) {
	_, err := read(t, "a.yaml", "kind: ScaleSet\nname: hello\n---\nkind: LoadBalancer\nname: hello\n---\n\nkind: ScaleSet\nname: hello\n")
	if err == nil || !strings.Contains(err.Error(), "a.yaml:8: ScaleSet hello is there already, in ") || !strings.HasSuffix(err.Error(), "a.yaml:1") {
		t.Errorf("%v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{hello, bomb()[:200], "a: &a [*a]\n", "<<: {a: 1}\n", "a:\n\tb: 1\n", "{\"a\": [1, 2.50, null]}", "- ? a\n  : !!str\n", "a: |2\n  x\n", "--- >\n a\n...\n", "a: \"\\x", "%YAML 1.2\n---\na: &x\nb: *x\n", "? - a\n: b", "a: !!str\n", "&a a: *a\n", "'a': 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		docs, err := Read([]string{"-"}, strings.NewReader(s))
		if (err == nil) != (len(docs) > 0) {
			t.Fatalf("%d documents and %v", len(docs), err)
		}
		for _, d := range docs {
			if !json.Valid(d.JSON) {
				t.Fatalf("%q is not JSON", d.JSON)
			}
			if p := d.problem("/spec/a/0", "x"); p.Line < 1 || p.Column < 1 {
				t.Fatalf("found at %+v", p)
			}
		}
	})
}
