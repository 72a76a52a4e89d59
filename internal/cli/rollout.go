package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

func (c *cli) rolloutCommand() *cobra.Command {
	cmd := group("rollout", "Move a scale set to another version, and steer that", `  drover rollout start hello --image hello:2.0.0 --watch
  drover rollout status hello
  drover rollout rollback hello --watch`,
		c.rolloutStartCommand(), c.rolloutStatusCommand(), c.rolloutPauseCommand(), c.rolloutResumeCommand(),
		c.rolloutPromoteCommand(),
		c.rolloutCancelCommand(), c.rolloutRollbackCommand(), c.rolloutHistoryCommand())
	cmd.Long = `Move a scale set to another version, and steer that. Where a command takes SET|ROLLOUT,
a set means its running rollout, or its last one. With -o json the result is the rollout's
document; with --watch it is printed at the end, on one line.`
	return c.connects(c.formats(cmd))
}

func (c *cli) rolloutStartCommand() *cobra.Command {
	var r client.RolloutRequest
	var strategy string
	var watch bool
	cmd := &cobra.Command{
		Use:   "start SET",
		Short: "Start a rollout",
		Long: `Write the image into the set's spec and start the rollout to it. Without --image the
stored spec is rolled out. With --watch the command waits for the end and exits 1
unless the rollout Succeeded. With -o json the result is null when the set runs that
model already.`,
		Example: `  drover rollout start hello --image hello:2.0.0 --watch
  drover rollout start hello --force        # the stored spec, though it failed before`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeNames(resource.KindScaleSet),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) (err error) {
			if r.Strategy, err = parseStrategy(strategy); err != nil {
				return err
			}
			ro, err := cl.StartRollout(ctx, args[0], r)
			if err != nil {
				return err
			}
			if ro.Name == "" {
				return c.tell(nil, "scaleset/%s runs that already: nothing to roll out", args[0])
			}
			return c.begun(ctx, cl, ro, "started", watch, resource.RolloutSucceeded)
		}),
	}
	cmd.Flags().StringVar(&r.Image, "image", "", "`image` to go to, NAME:M.m.p or NAME@sha256:…")
	cmd.Flags().StringVar(&strategy, "strategy", "", "the `strategy`: BlueGreen, which is also the default")
	cmd.Flags().BoolVar(&r.Force, "force", false, "also to a model that is known to be bad, which forgets that")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the progress and wait for the end")
	return cmd
}

func (c *cli) rolloutRollbackCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "rollback SET|ROLLOUT",
		Short: "Put a running rollout back, or undo the last one",
		Long: `Put a running rollout back, or undo the set's last one that Succeeded with a new rollout
in the other direction. With --watch the command waits for the end and exits 1 unless
what was asked for happened: a running one ended RolledBack, a new one Succeeded.`,
		Example:           "  drover rollout rollback hello --watch",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeRollouts,
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			name, err := findRollout(ctx, cl, args[0], lastSucceeded)
			if err != nil {
				return err
			}
			ro, err := cl.Rollback(ctx, name)
			if err != nil {
				return err
			}
			if ro.Name == name { // the rollout itself is what goes back
				return c.begun(ctx, cl, ro, "is going back", watch, resource.RolloutRolledBack)
			}
			return c.begun(ctx, cl, ro, "started", watch, resource.RolloutSucceeded)
		}),
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the progress and wait for the end")
	return cmd
}

// begun says which rollout runs now and, if asked to, waits for its end.
func (c *cli) begun(ctx context.Context, cl *client.Client, ro resource.Rollout, verb string, watch bool, want resource.RolloutPhase) error {
	for _, w := range ro.Status.Warnings {
		fmt.Fprintf(c.notes(), "warning: %s\n", oneLine(w))
	}
	if !watch || c.format == formatTable {
		if err := c.tell(ro, "rollout/%s %s: %s", ro.Name, verb, direction(ro)); err != nil {
			return err
		}
	}
	if !watch {
		return nil
	}
	return c.watchRollout(ctx, cl, ro, want)
}

func (c *cli) rolloutStatusCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:               "status SET|ROLLOUT",
		Short:             "Show how a rollout goes or went, with its report",
		Example:           "  drover rollout status hello\n  drover rollout status hello-3 --watch",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeRollouts,
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			name, err := findRollout(ctx, cl, args[0], lastOfAll)
			if err != nil {
				return err
			}
			d, err := cl.Get(ctx, resource.KindRollout, name)
			if err != nil {
				return err
			}
			ro, err := resource.From[resource.RolloutSpec, resource.RolloutStatus](d)
			if err != nil {
				return err
			}
			if watch {
				return c.watchRollout(ctx, cl, ro, resource.RolloutSucceeded)
			}
			return c.print(d, func() error { return printRollout(c.Stdout, ro, time.Now()) })
		}),
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the progress, wait for the end and exit 1 unless it Succeeded")
	return cmd
}

func (c *cli) rolloutPauseCommand() *cobra.Command {
	var d duration
	cmd := c.rolloutAction("pause", "Hold a rollout where it is", "is asked to pause",
		"  drover rollout pause hello --for 1h",
		func(ctx context.Context, cl *client.Client, name string) (resource.Rollout, error) {
			return cl.Pause(ctx, name, resource.Duration(d))
		})
	cmd.Long = `Hold a rollout where it is. Health and error rate are still watched, and a failure
rolls back. A pause that nobody ends goes back by itself and the rollout ends Cancelled.`
	cmd.Flags().Var(&d, "for", "go back by itself after this `time` (24h unless told)")
	return cmd
}

func (c *cli) rolloutResumeCommand() *cobra.Command {
	return c.rolloutAction("resume", "Let a paused rollout go on", "is asked to go on", "  drover rollout resume hello",
		func(ctx context.Context, cl *client.Client, name string) (resource.Rollout, error) {
			return cl.Resume(ctx, name)
		})
}

func (c *cli) rolloutPromoteCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "promote SET|ROLLOUT",
		Short: "Let a rollout that waits for it move the traffic",
		Long: `Let a rollout of a set with promotion: Manual move the traffic. It waits for that in
Paused, with its new instances ready, for 24 hours at most; then it goes back and ends
Cancelled. With --watch the command waits for the end and exits 1 unless the rollout
Succeeded.`,
		Example:           "  drover rollout promote hello --watch",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeRollouts,
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			name, err := findRollout(ctx, cl, args[0], lastOfAll)
			if err != nil {
				return err
			}
			ro, err := cl.Promote(ctx, name)
			if err != nil {
				return err
			}
			return c.begun(ctx, cl, ro, "is promoted", watch, resource.RolloutSucceeded)
		}),
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the progress and wait for the end")
	return cmd
}

func (c *cli) rolloutCancelCommand() *cobra.Command {
	return c.rolloutAction("cancel", "Put a running rollout back; its version may be tried again", "is asked to go back", "  drover rollout cancel hello",
		func(ctx context.Context, cl *client.Client, name string) (resource.Rollout, error) {
			return cl.Cancel(ctx, name)
		})
}

// rolloutAction is a command that asks one thing of a running rollout.
func (c *cli) rolloutAction(name, short, done, example string, act func(context.Context, *client.Client, string) (resource.Rollout, error)) *cobra.Command {
	return &cobra.Command{
		Use:               name + " SET|ROLLOUT",
		Short:             short,
		Example:           example,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeRollouts,
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			rollout, err := findRollout(ctx, cl, args[0], lastOfAll)
			if err != nil {
				return err
			}
			ro, err := act(ctx, cl, rollout)
			if err != nil {
				return err
			}
			return c.tell(ro, "rollout/%s %s (%s)", ro.Name, done, ro.Status.Phase)
		}),
	}
}

func parseStrategy(s string) (resource.UpgradeMode, error) {
	for _, m := range []resource.UpgradeMode{"", resource.ModeBlueGreen, resource.ModeRolling} {
		if strings.EqualFold(s, string(m)) {
			return m, nil
		}
	}
	return "", usagef("--strategy %q: want BlueGreen or Rolling", s)
}

// direction is from where to where a rollout goes.
func direction(ro resource.Rollout) string {
	from := shortImage(ro.Spec.From)
	if from == "" {
		from = "nothing"
	}
	text := fmt.Sprintf("%s → %s, %s", from, shortImage(ro.Spec.To), ro.Spec.Strategy)
	if ro.Spec.RollbackOf != "" {
		text += ", rollback of " + ro.Spec.RollbackOf
	}
	return text
}
