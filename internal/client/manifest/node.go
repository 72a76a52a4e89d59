package manifest

import (
	"fmt"
	"strings"
)

// node is one value of a document with the place where it was written.
type node struct {
	kind kind
	// text is a text's value, or the JSON of a number, boolean or null.
	text string
	// raw is how YAML had a plain number, boolean or null; "" when quoted or from JSON.
	raw   string
	plain bool
	// doubtful says why programs read raw differently; "" when they do not.
	doubtful string
	place    place
	fields   []field
	items    []*node
}

type kind string

const (
	kindNull   kind = "null"
	kindScalar kind = "a number or boolean"
	kindText   kind = "text"
	kindList   kind = "a list"
	kindObject kind = "an object"
)

type field struct {
	name  string
	place place
	value *node
}

// place is where something was written, counted from 1.
type place struct{ line, column int }

// set adds a field and refuses one that is there already.
func (n *node) set(f field, index map[string]int) error {
	if i, double := index[f.name]; double {
		return at(f.place, "the field %q is there already, in line %d", f.name, n.fields[i].place.line)
	}
	index[f.name] = len(n.fields)
	n.fields = append(n.fields, f)
	return nil
}

// get returns the field of that name, or nil.
func (n *node) get(name string) *field {
	for i := range n.fields {
		if n.fields[i].name == name {
			return &n.fields[i]
		}
	}
	return nil
}

// textOf returns the text of a field, or "".
func (n *node) textOf(name string) string {
	if f := n.get(name); f != nil && f.value.kind == kindText {
		return f.value.text
	}
	return ""
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// find returns where a pointer's value was written, or the nearest value around it.
func (n *node) find(pointer string) place {
	here := n.place
	for _, step := range strings.Split(pointer, "/")[1:] {
		next, ok := n.step(unescape.Replace(step))
		if !ok {
			break
		}
		n, here = next.value, next.place
	}
	return here
}

func (n *node) step(name string) (field, bool) {
	if f := n.get(name); f != nil {
		return *f, true
	}
	for i, item := range n.items {
		if fmt.Sprint(i) == name {
			return field{name, item.place, item}, true
		}
	}
	return field{}, false
}

// placed is a problem at a place in a file that its reader knows.
type placed struct {
	place  place
	detail string
}

func (p *placed) Error() string { return p.detail }

func at(p place, format string, args ...any) error {
	return &placed{p, fmt.Sprintf(format, args...)}
}
