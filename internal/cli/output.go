package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// format is the value of -o.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
)

func (f format) String() string { return string(f) }
func (f format) Type() string   { return "format" }

func (f *format) Set(s string) error {
	switch format(s) {
	case formatTable, formatJSON, formatYAML:
		*f = format(s)
		return nil
	}
	return fmt.Errorf("want table, json or yaml")
}

// formats gives a command, and those below it, the flag -o.
func (c *cli) formats(cmd *cobra.Command) *cobra.Command {
	c.format = formatTable
	cmd.PersistentFlags().VarP(&c.format, "output", "o", "how to print: table, json or yaml")
	// The flag was added above: registering its completion cannot fail.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// print prints a result: v for programs, or what people prints.
func (c *cli) print(v any, people func() error) error {
	if c.format == formatTable {
		return people()
	}
	return printValue(c.Stdout, c.format, v)
}

// tell is print for a result that is one line for people.
func (c *cli) tell(v any, format string, args ...any) error {
	return c.print(v, func() error {
		_, err := fmt.Fprintf(c.Stdout, format+"\n", args...)
		return err
	})
}

// notes is where people are told what else they may want to know. Programs find
// it in the result; their standard error holds a problem or nothing.
func (c *cli) notes() io.Writer {
	if c.format == formatTable {
		return c.Stderr
	}
	return io.Discard
}

// printValue prints v as JSON or YAML, with the fields in the order they are declared in.
func printValue(w io.Writer, f format, v any) error {
	b, err := marshal(v, "  ")
	if err != nil {
		return err
	}
	if f == formatYAML {
		if b, err = yaml.JSONToYAML(b); err != nil {
			return fmt.Errorf("print as YAML: %w", err)
		}
	}
	_, err = w.Write(b)
	return err
}

// printLine prints v as JSON on one line.
func printLine(w io.Writer, v any) error {
	b, err := marshal(v, "")
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// marshal is JSON for people: < and > stay as they are.
func marshal(v any, indent string) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("print as JSON: %w", err)
	}
	return buf.Bytes(), nil
}

// terminal returns the terminal that w is, with its width, or false.
func terminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return width, true
}
