package cli

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// choice picks one of a set's rollouts, oldest first, when none is running.
type choice func(set resource.ScaleSet, all []resource.Rollout) string

func lastOfAll(_ resource.ScaleSet, all []resource.Rollout) string {
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1].Name
}

func lastSucceeded(set resource.ScaleSet, all []resource.Rollout) string {
	if set.Status.LastRollout != "" {
		return set.Status.LastRollout
	}
	return lastOfAll(set, all) // the server says why it can't be undone
}

// findRollout takes SET|ROLLOUT. A name that is both, which sets like "web-2"
// can be, means the set.
func findRollout(ctx context.Context, cl *client.Client, name string, choose choice) (string, error) {
	d, err := cl.Get(ctx, resource.KindScaleSet, name)
	if resource.IsCode(err, resource.CodeNotFound) || resource.IsCode(err, resource.CodeForbidden) {
		// A rollout outlives its set; a scope that covers the rollout covers its set, not the namesake.
		if _, getErr := cl.Get(ctx, resource.KindRollout, name); getErr == nil {
			return name, nil
		}
	}
	if err != nil {
		return "", err
	}
	set, err := resource.From[resource.ScaleSetSpec, resource.ScaleSetStatus](d)
	if err != nil {
		return "", err
	}
	if set.Status.Rollout != "" {
		return set.Status.Rollout, nil
	}
	all, err := rolloutsOf(ctx, cl, name)
	if err != nil {
		return "", err
	}
	if chosen := choose(set, all); chosen != "" {
		return chosen, nil
	}
	return "", resource.Errorf(resource.CodeNotFound, "scale set %s has had no rollout yet", name)
}

// rolloutsOf lists a set's rollouts, oldest first.
func rolloutsOf(ctx context.Context, cl *client.Client, set string) ([]resource.Rollout, error) {
	list, err := cl.List(ctx, resource.KindRollout, client.Filter{Set: set})
	if err != nil {
		return nil, err
	}
	all := make([]resource.Rollout, 0, len(list.Items))
	for _, d := range list.Items {
		ro, err := resource.From[resource.RolloutSpec, resource.RolloutStatus](d)
		if err != nil {
			return nil, err
		}
		all = append(all, ro)
	}
	slices.SortFunc(all, func(a, b resource.Rollout) int { return rolloutNumber(a.Name) - rolloutNumber(b.Name) })
	return all, nil
}

func rolloutNumber(name string) int {
	_, n, _ := resource.SplitRolloutName(name)
	return n
}

func (c *cli) rolloutHistoryCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "history SET",
		Short:             "List a set's rollouts, the newest first",
		Example:           "  drover rollout history hello",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: c.completeNames(resource.KindScaleSet),
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			return c.history(ctx, cl, args[0])
		}),
	}
}

func (c *cli) history(ctx context.Context, cl *client.Client, set string) error {
	all, err := rolloutsOf(ctx, cl, set)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		if _, err := cl.Get(ctx, resource.KindScaleSet, set); err != nil {
			return err // no such set, rather than no rollouts
		}
	}
	slices.Reverse(all)
	return c.print(all, func() error { return printHistory(c.Stdout, all, time.Now()) })
}

func printHistory(w io.Writer, all []resource.Rollout, now time.Time) error {
	t := newTable(w, "NAME", "STRATEGY", "FROM", "TO", "PHASE", "STARTED", "TOOK", "REASON")
	for _, ro := range all {
		started := ""
		if ro.Status.StartedAt != nil {
			started = ro.Status.StartedAt.Local().Format(time.DateTime)
		}
		t.row(ro.Name, string(ro.Spec.Strategy), shortImage(ro.Spec.From), shortImage(ro.Spec.To),
			string(ro.Status.Phase), started, took(ro, now), ro.Status.Reason)
	}
	return t.flush()
}

// took is how long a rollout has lasted.
func took(ro resource.Rollout, now time.Time) string {
	if ro.Status.StartedAt == nil {
		return ""
	}
	if ro.Status.EndedAt != nil {
		now = *ro.Status.EndedAt
	}
	return span(now.Sub(*ro.Status.StartedAt))
}

// span is a duration for people: tenths of a second where they matter.
func span(d time.Duration) string {
	if d < 10*time.Second {
		return resource.Duration(d.Round(100 * time.Millisecond)).String()
	}
	return resource.Duration(d.Round(time.Second)).String()
}
