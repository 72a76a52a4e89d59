package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Env is the process that a command runs in.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
}

// Main runs the command that the process was started with and returns its exit code.
func Main(local Local) int {
	if len(os.Args) > 1 {
		if run := local.Hidden[os.Args[1]]; run != nil {
			return run(os.Args[2:]) // before anything is built: a launcher has a workload to become
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process the hard way
	return Run(ctx, Env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}, local, os.Args[1:])
}

// Run runs one command until it is done or ctx ends, and returns the exit code.
func Run(ctx context.Context, env Env, local Local, args []string) int {
	c := &cli{Env: env, local: local, format: formatTable}
	root := c.rootCommand()
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return c.finish(cmd, err)
}

// cli is what all commands share.
type cli struct {
	Env
	local Local
	conn  connection
	// format is how results and errors are printed.
	format format
}

// usageError is a command line that cannot be meant.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// exit ends a command with a code when everything was said already.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// finish says what went wrong and chooses the exit code.
func (c *cli) finish(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	if code, ok := errors.AsType[exit](err); ok {
		return int(code)
	}
	_, wrongUsage := errors.AsType[usageError](err)
	switch {
	case c.format != formatTable:
		_ = printValue(c.Stderr, c.format, problemOf(err)) // the exit code says it, too
	case wrongUsage:
		fmt.Fprintf(c.Stderr, "drover: %s; see `%s --help`\n", oneLine(err.Error()), cmd.CommandPath())
	default:
		explain(c.Stderr, err)
	}
	if wrongUsage || cmd.Name() == "diff" { // 1 says different there
		return exitUsage
	}
	return exitFailed
}
