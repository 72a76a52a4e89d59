package manifest

import (
	"errors"
	"strconv"
	"strings"

	"github.com/droverhq/drover/internal/resource"
)

// Problem is something wrong at a place in a file. Line is 0 where it is the
// file as a whole; Pointer is empty where it is no field of a document.
type Problem struct {
	File    string
	Line    int
	Column  int
	Pointer string
	Detail  string
}

func (p Problem) where() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

func (p Problem) String() string {
	parts := []string{p.where(), p.Pointer, p.Detail}
	shown := parts[:0]
	for _, part := range parts {
		if part != "" {
			shown = append(shown, part)
		}
	}
	return strings.Join(shown, ": ")
}

// Error is all that is wrong with what was read, a line each. It unwraps to the
// server's error, or to one with resource.CodeInvalid when no server was asked.
type Error struct {
	Problems []Problem
	cause    error
}

// maxProblems is how many are told at once.
const maxProblems = 100

func newError(problems []Problem) *Error {
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(problems[:maxProblems:maxProblems], Problem{Detail: "and " + strconv.Itoa(more) + " more"})
	}
	return &Error{problems, resource.Errorf(resource.CodeInvalid, "the documents are not valid")}
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (e *Error) Unwrap() error { return e.cause }

// Locate says in which files and lines the fields are that a server's refusal of
// these documents points to: its pointers begin with a document's index. Other
// errors come back as they are.
func Locate(documents []Document, err error) error {
	e, ok := errors.AsType[*resource.Error](err)
	if !ok || len(e.Fields) == 0 {
		return err
	}
	out := &Error{cause: err}
	for _, f := range e.Fields {
		number, rest, _ := strings.Cut(strings.TrimPrefix(f.Pointer, "/"), "/")
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= len(documents) {
			out.Problems = append(out.Problems, Problem{Pointer: f.Pointer, Detail: f.Detail})
			continue
		}
		if rest != "" {
			rest = "/" + rest
		}
		out.Problems = append(out.Problems, documents[i].problem(rest, f.Detail))
	}
	return out
}

func (d Document) problem(pointer, detail string) Problem {
	where := d.root.find(pointer)
	if pointer == "" && detail != "" {
		detail = d.title() + ": " + detail
	}
	return Problem{d.file, where.line, where.column, pointer, detail}
}

func (d Document) title() string { return strings.TrimSpace(d.Kind + " " + d.Name) }
