package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// rowPrinter prints one line a change. A table's columns are as wide as the
// widest cell so far: they can't be known beforehand.
type rowPrinter struct {
	w       io.Writer
	format  format
	columns columns
	widths  []int
}

// jsonChange is a line of `get --watch -o json`.
type jsonChange struct {
	Type     string            `json:"type"` // put or delete
	Document resource.Document `json:"document"`
}

func (p *rowPrinter) begin(items []resource.Document) error {
	if p.format != formatTable {
		return p.all(items)
	}
	// Widths first, so that the rows that are there are lined up.
	p.measure(p.columns.header)
	for _, d := range items {
		cells, err := p.columns.cells(time.Now(), d)
		if err != nil {
			return err
		}
		p.measure(cells)
	}
	if err := p.line(p.columns.header); err != nil {
		return err
	}
	return p.all(items)
}

func (p *rowPrinter) all(items []resource.Document) error {
	for _, d := range items {
		if err := p.change(client.Change{Document: d}); err != nil {
			return err
		}
	}
	return nil
}

func (p *rowPrinter) change(ch client.Change) error {
	verb := "put"
	if ch.Deleted {
		verb = "delete"
	}
	switch p.format {
	case formatJSON:
		return printLine(p.w, jsonChange{verb, ch.Document})
	case formatYAML:
		if _, err := io.WriteString(p.w, "---\n"); err != nil {
			return err
		}
		return printValue(p.w, p.format, jsonChange{verb, ch.Document})
	}
	cells, err := p.columns.cells(time.Now(), ch.Document)
	if err != nil {
		return err
	}
	if ch.Deleted {
		cells = append(cells, "deleted")
	}
	return p.line(cells)
}

func (p *rowPrinter) measure(cells []string) {
	for i, cell := range cells {
		if i == len(p.widths) {
			p.widths = append(p.widths, 0)
		}
		p.widths[i] = max(p.widths[i], len(cell))
	}
}

func (p *rowPrinter) line(cells []string) error {
	p.measure(cells)
	var b strings.Builder
	for i, cell := range cells {
		if cell == "" {
			cell = "-"
		}
		fmt.Fprintf(&b, "%-*s   ", p.widths[i], oneLine(cell))
	}
	_, err := fmt.Fprintln(p.w, strings.TrimRight(b.String(), " "))
	return err
}

// interrupted tells the user once that the server is gone, however often it is tried again.
func interrupted(w io.Writer) func(error) {
	var last time.Time
	return func(err error) {
		if time.Since(last) > 10*time.Second {
			fmt.Fprintf(w, "drover: %s; trying again\n", oneLine(err.Error()))
		}
		last = time.Now()
	}
}

// untilInterrupted makes Ctrl-C the good end of a command that only looks.
func untilInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return nil
	}
	return err
}
