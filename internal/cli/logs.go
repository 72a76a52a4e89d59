package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// allLines is what --tail is unless told.
const allLines = -1

func (c *cli) logsCommand() *cobra.Command {
	var follow bool
	var tail int
	cmd := &cobra.Command{
		Use:   "logs INSTANCE",
		Short: "Print what an instance wrote to its standard output and error",
		Long: `Print what an instance wrote to its standard output and error. When the server restarts
meanwhile, the log goes on where it broke off; standard error says so.`,
		Example: `  drover logs hello_3 --tail 100
  drover logs hello_3 -f`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeNames(resource.KindInstance),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			if tail < allLines {
				return usagef("--tail %d: want a number of lines", tail)
			}
			o := client.LogOptions{
				Follow: follow, Tail: tail, Interrupted: interrupted(c.Stderr),
				Missing: func(err error) { fmt.Fprintf(c.Stderr, "drover: %s\n", oneLine(err.Error())) },
			}
			return untilInterrupted(ctx, cl.Logs(ctx, args[0], o, c.Stdout))
		}),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written until Ctrl-C")
	cmd.Flags().IntVar(&tail, "tail", allLines, "only the last `N` lines (all unless told)")
	return c.connects(cmd)
}
