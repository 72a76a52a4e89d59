package demo

import (
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/droverhq/drover/internal/resource"
)

// Command is `drover demo`.
func Command() *cobra.Command {
	duration := resource.Duration(30 * time.Second)
	output := format("table")
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole story on this machine: a good rollout and a bad one, under load",
		Long: `Starts a server with everything embedded in a temporary folder, puts a small web
program in four instances behind a load balancer, keeps a steady load on it, and
rolls it blue/green from 1.0.0 to 2.0.0 and on to a broken 3.0.0, which is rolled
back. At the end it prints what the load saw. It exits with 1 if one request
failed, the good rollout did not succeed or the bad one was not rolled back.
Nothing is left behind, also after Ctrl-C.`,
		Example: "  drover demo\n  drover demo --duration 20s -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd, time.Duration(duration), output)
		},
	}
	cmd.Flags().Var(durationFlag{&duration}, "duration", "bounds the whole; at least "+MinDuration.String())
	cmd.Flags().VarP(&output, "output", "o", "print the result in this `format`: table, or json, one object as the last line")
	return cmd
}

func run(cmd *cobra.Command, duration time.Duration, output format) error {
	out := cmd.OutOrStdout()
	file, isFile := out.(*os.File)
	result, err := Run(cmd.Context(), Options{
		Duration: duration, JSON: output == "json", Out: out,
		Terminal: isFile && term.IsTerminal(int(file.Fd())),
	})
	if result == nil {
		return err
	}
	print := result.printTable
	if output == "json" {
		print = result.printJSON
	}
	if err2 := print(out); err == nil {
		err = err2
	}
	return err
}

// Flags refuse what cannot be meant, so that it counts as wrong usage.

type format string

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }
func (f *format) Set(s string) error {
	if s != "table" && s != "json" {
		return errors.New("want table or json")
	}
	*f = format(s)
	return nil
}

type durationFlag struct{ d *resource.Duration }

func (f durationFlag) String() string { return f.d.String() }
func (f durationFlag) Type() string   { return "duration" }
func (f durationFlag) Set(s string) error {
	if err := f.d.UnmarshalText([]byte(s)); err != nil {
		return err
	}
	return enough(time.Duration(*f.d))
}
