package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/droverhq/drover/internal/client/manifest"
	"github.com/droverhq/drover/internal/resource"
)

// codeFailed is the code of what no server refused: a rollout that ended
// otherwise than asked for, a file that cannot be read.
const codeFailed resource.Code = "failed"

// problem is an error as -o json and -o yaml print it: the API's own shape, with
// the places in files where they are known.
type problem struct {
	Type   string        `json:"type"`
	Title  string        `json:"title,omitempty"`
	Status int           `json:"status,omitempty"` // absent when no server was asked
	Detail string        `json:"detail"`
	Code   resource.Code `json:"code"`
	Errors []badField    `json:"errors,omitempty"`
}

type badField struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Pointer string `json:"pointer,omitempty"`
	Detail  string `json:"detail"`
}

func problemOf(err error) problem {
	p := problem{Code: codeFailed, Detail: oneLine(err.Error())}
	if _, ok := errors.AsType[usageError](err); ok {
		p.Code = resource.CodeInvalid
	}
	if e, ok := errors.AsType[*resource.Error](err); ok {
		p.Code, p.Title, p.Status = e.Code, e.Code.Title(), e.Code.Status()
		for _, f := range e.Fields {
			p.Errors = append(p.Errors, badField{Pointer: f.Pointer, Detail: f.Detail})
		}
	}
	if bad, ok := errors.AsType[*manifest.Error](err); ok {
		p.Detail, p.Errors = sumUp(bad), nil
		for _, f := range inFiles(bad) {
			p.Errors = append(p.Errors, badField{f.File, f.Line, f.Pointer, f.Detail})
		}
	}
	p.Type = "urn:drover:problem:" + string(p.Code)
	return p
}

// explain tells people what went wrong. What is wrong with documents is a line
// each, FILE:LINE: FIELD: WHAT, before the sum.
func explain(w io.Writer, err error) {
	text := err.Error()
	if bad, ok := errors.AsType[*manifest.Error](err); ok {
		for _, p := range inFiles(bad) {
			fmt.Fprintln(w, oneLine(p.String()))
		}
		text = sumUp(bad)
	}
	fmt.Fprintf(w, "drover: %s\n", oneLine(text))
}

func sumUp(bad *manifest.Error) string {
	return count(len(bad.Problems), "problem") + "; nothing was written"
}

// inFiles are the problems in the order in which one works through the files.
func inFiles(bad *manifest.Error) []manifest.Problem {
	return slices.SortedStableFunc(slices.Values(bad.Problems), func(a, b manifest.Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}
