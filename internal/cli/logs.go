package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

func (c *cli) logsCommand() *cobra.Command {
	var follow bool
	var tail int
	cmd := &cobra.Command{
		Use:   "logs INSTANCE",
		Short: "Print what an instance wrote to its standard output and error",
		Example: `  drover logs hello_3 --tail 100
  drover logs hello_3 -f`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeNames(resource.KindInstance),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			logs, err := cl.Logs(ctx, args[0], client.LogOptions{Follow: follow, Tail: tail})
			if err != nil {
				return err
			}
			defer logs.Close()
			if _, err := io.Copy(c.Stdout, logs); err != nil {
				return untilInterrupted(ctx, fmt.Errorf("read the log of %s: %w", args[0], err))
			}
			return nil
		}),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is written until Ctrl-C")
	cmd.Flags().IntVar(&tail, "tail", -1, "only the last `N` lines (all unless told)")
	return c.connects(cmd)
}
