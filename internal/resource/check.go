package resource

import (
	"cmp"
	"fmt"
	"strings"
)

// checker collects all that is wrong with one document.
type checker struct {
	kind   string
	fields []FieldError
	// invalid is set by the first problem that waiting for a later version would not solve.
	invalid bool
}

// maxFields is how many problems are told at once; a hostile document could have millions.
const maxFields = 100

// add notes a problem, unless one at that place or around it is known: what
// could not be read must not be called missing as well.
func (c *checker) add(pointer, format string, args ...any) {
	c.invalid = true
	c.note(pointer, fmt.Sprintf(format, args...))
}

// addErr notes err, if there is one.
func (c *checker) addErr(pointer string, err error) {
	if err != nil {
		c.add(pointer, "%s", err)
	}
}

// later notes a field or a value that this version does not have yet.
func (c *checker) later(pointer, what string) {
	c.note(pointer, what+" is not yet supported")
}

func (c *checker) note(pointer, detail string) {
	if c.full() {
		return
	}
	for _, f := range c.fields {
		if f.Pointer == pointer || strings.HasPrefix(f.Pointer, pointer+"/") || strings.HasPrefix(pointer, f.Pointer+"/") {
			return
		}
	}
	c.fields = append(c.fields, FieldError{pointer, detail})
}

// full reports whether no more problems are told: finding out what was meant by
// each of a hostile document's fields would cost more than reading it.
func (c *checker) full() bool { return len(c.fields) >= maxFields }

// err is what was found, or nil.
func (c *checker) err(name string) error {
	if len(c.fields) == 0 {
		return nil
	}
	what := strings.TrimSpace(c.kind + " " + name)
	if c.invalid {
		return &Error{Code: CodeInvalid, Detail: what + " is not valid", Fields: c.fields}
	}
	return &Error{Code: CodeUnsupported, Detail: what + " asks for what this version cannot do", Fields: c.fields}
}

// within checks least ≤ v ≤ most.
func within[N cmp.Ordered](c *checker, pointer string, v, least, most N) {
	if v < least || v > most {
		c.add(pointer, "%v is out of range: write %v to %v", v, least, most)
	}
}

// oneOf checks that v is one of the values; those of a later version are told apart.
func oneOf[S ~string](c *checker, pointer string, v S, values ...S) {
	for _, allowed := range values {
		if v == allowed {
			return
		}
	}
	if laterValue(c.kind, pointer, string(v)) {
		c.later(pointer, string(v))
		return
	}
	names := make([]string, len(values))
	for i, allowed := range values {
		names[i] = string(allowed)
	}
	if near := nearest(string(v), names); near != "" {
		c.add(pointer, "%s is not known; did you mean %s?", quote(string(v)), near)
		return
	}
	c.add(pointer, "%s is not known: write %s", quote(string(v)), strings.Join(names, " or "))
}
