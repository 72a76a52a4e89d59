package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/internal/client/manifest"
)

// readDocuments reads what -f names.
func (c *cli) readDocuments(files []string) ([]manifest.Document, error) {
	if len(files) == 0 {
		return nil, usagef("-f is needed: a file or folder of documents, or - for standard input")
	}
	documents, err := manifest.Read(files, c.Stdin)
	return documents, c.listProblems(err)
}

// refused explains the server's refusal of documents in terms of their files.
func (c *cli) refused(documents []manifest.Document, err error) error {
	return c.listProblems(manifest.Locate(documents, err))
}

// listProblems prints each problem on a line of its own, FILE:LINE: FIELD: WHAT,
// and returns an error that sums them up.
func (c *cli) listProblems(err error) error {
	bad, ok := errors.AsType[*manifest.Error](err)
	if !ok {
		return err
	}
	problems := slices.Clone(bad.Problems)
	slices.SortStableFunc(problems, func(a, b manifest.Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	for _, p := range problems {
		fmt.Fprintln(c.Stderr, oneLine(p.String()))
	}
	return fmt.Errorf("%s; nothing was written", count(len(problems), "problem"))
}

// texts are the documents as they are sent.
func texts(documents []manifest.Document) []json.RawMessage {
	out := make([]json.RawMessage, len(documents))
	for i, d := range documents {
		out[i] = d.JSON
	}
	return out
}
