package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

func (c *cli) scaleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scale SET N",
		Short: "Change how many instances a scale set has",
		Long: `Change how many instances a scale set has. It returns once that is accepted; watch the
instances come and drain with "drover get instances --set SET --watch". With -o json the result is the set's document.`,
		Example:           "  drover scale hello 12",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: c.completeNames(resource.KindScaleSet),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 0 {
				return usagef("%q is not a number of instances", args[1])
			}
			set, err := cl.Scale(ctx, args[0], n)
			if err != nil {
				return err
			}
			return c.tell(set, "scaleset/%s scaled to %d", set.Name, set.Spec.Capacity)
		}),
	}
	return c.connects(c.formats(cmd))
}
