package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/droverhq/drover/internal/resource"
)

// maxSource is what one file, or standard input, may hold.
const maxSource = 8 << 20

// Document is one document as it was written, as JSON for the server. Kind and
// Name are empty where they were not written as text.
type Document struct {
	Kind string
	Name string
	JSON json.RawMessage

	file string
	root *node
}

// Read reads documents from paths: files, folders (their .yaml, .yml and .json
// files by name, without sub-folders) and "-", which is stdin. The error is an
// *Error with all that is wrong with any of them.
func Read(paths []string, stdin io.Reader) ([]Document, error) {
	var all reading
	for _, path := range paths {
		if path == "-" {
			all.source("standard input", stdin)
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			all.fail(path, err)
		case info.IsDir():
			all.folder(path)
		default:
			all.file(path)
		}
	}
	all.refuseDoubles()
	if len(all.problems) > 0 {
		return nil, newError(all.problems)
	}
	return all.documents, nil
}

// reading collects documents and problems.
type reading struct {
	documents []Document
	problems  []Problem
}

func (r *reading) fail(file string, err error) {
	p := Problem{File: file, Detail: err.Error()}
	if e, ok := errors.AsType[*placed](err); ok {
		p.Line, p.Column = e.place.line, e.place.column
	} else if e, ok := errors.AsType[*os.PathError](err); ok {
		p.Detail = "cannot be read: " + e.Err.Error()
	}
	r.problems = append(r.problems, p)
}

func (r *reading) folder(path string) {
	entries, err := os.ReadDir(path)
	if err != nil {
		r.fail(path, err)
		return
	}
	found := false
	for _, e := range entries {
		if !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) {
			found = true
			r.file(filepath.Join(path, e.Name()))
		}
	}
	if !found {
		r.fail(path, errors.New("the folder has no .yaml, .yml or .json file"))
	}
}

func (r *reading) file(path string) {
	f, err := os.Open(path)
	if err != nil {
		r.fail(path, err)
		return
	}
	defer f.Close()
	r.source(path, f)
}

func (r *reading) source(file string, in io.Reader) {
	data, err := io.ReadAll(io.LimitReader(in, maxSource+1))
	switch {
	case err != nil:
		r.fail(file, err)
		return
	case len(data) > maxSource:
		r.fail(file, fmt.Errorf("is larger than %v", resource.Bytes(maxSource)))
		return
	case !utf8.Valid(data):
		r.fail(file, errors.New("is not UTF-8 text"))
		return
	}
	before := len(r.documents) + len(r.problems)
	roots, errs := parse(file, bytes.TrimPrefix(data, []byte("\ufeff")))
	for _, err := range errs {
		r.fail(file, err)
	}
	for _, root := range roots {
		r.roots(file, root)
	}
	if len(r.documents)+len(r.problems) == before {
		r.fail(file, errors.New("has no documents"))
	}
}

func parse(file string, data []byte) ([]*node, []error) {
	if filepath.Ext(file) != ".json" && !isJSON(data) {
		return parseYAML(data)
	}
	roots, err := parseJSON(data)
	if err != nil {
		return nil, []error{err}
	}
	return roots, nil
}

// isJSON tells JSON from YAML in braces, which may have comments and bare words.
func isJSON(data []byte) bool {
	trimmed := bytes.TrimSpace(data)
	return len(trimmed) > 0 && strings.IndexByte("{[", trimmed[0]) >= 0 && checkJSON(data) == nil
}

// roots adds a document, or all those of a list as `get -o json` prints it.
func (r *reading) roots(file string, root *node) {
	items := listed(root)
	if items == nil {
		r.document(file, root)
		return
	}
	for _, item := range items.items {
		r.document(file, item)
	}
}

func (r *reading) document(file string, root *node) {
	if root.kind != kindObject {
		r.fail(file, at(root.place, "expected a document with kind, name and spec, not %s", root.kind))
		return
	}
	text, err := encode(root)
	if err != nil {
		r.fail(file, err)
		return
	}
	r.documents = append(r.documents, Document{root.textOf("kind"), root.textOf("name"), text, file, root})
}

// listed returns the list of documents that root is or carries, or nil.
func listed(root *node) *node {
	if root.kind == kindList {
		return root
	}
	if items := root.get("items"); items != nil && items.value.kind == kindList && root.get("kind") == nil {
		return items.value
	}
	return nil
}

// refuseDoubles refuses two documents for one thing: the second would silently win.
func (r *reading) refuseDoubles() {
	first := map[[2]string]Document{}
	for _, d := range r.documents {
		key := [2]string{d.Kind, d.Name}
		if d.Kind == "" || d.Name == "" {
			continue // the server says so
		}
		if before, double := first[key]; double {
			p := d.problem("", "")
			p.Detail = fmt.Sprintf("%s is there already, in %s", d.title(), before.problem("", "").where())
			r.problems = append(r.problems, p)
			continue
		}
		first[key] = d
	}
}
