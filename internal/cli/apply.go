package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/client/manifest"
	"github.com/droverhq/drover/internal/resource"
)

type applyOptions struct {
	files         []string
	dryRun, force bool
}

func (c *cli) applyCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply -f FILE|FOLDER|-",
		Short: "Create or change documents: all of them or none",
		Long: `Create or change the documents in files: all of them or none. Every document is checked
by the server before any is written; whatever is wrong is printed with its file and line.
A folder means its *.yaml, *.yml and *.json files, "-" standard input. With -o json the
outcome is an array: what was done to each document, what changed in it, and warnings.`,
		Example: `  drover apply -f hello.yaml
  drover apply -f deploy/ --dry-run`,
		RunE: c.run(func(ctx context.Context, cl *client.Client, _ []string) error {
			return c.apply(ctx, cl, o)
		}),
	}
	addFiles(cmd, &o.files)
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "check, and say what would change; write nothing")
	cmd.Flags().BoolVar(&o.force, "force", false, "also to models that are known to be bad, which forgets that")
	return c.connects(c.formats(cmd))
}

// addFiles gives a command the flag -f.
func addFiles(cmd *cobra.Command, files *[]string) {
	cmd.Flags().StringArrayVarP(files, "filename", "f", nil, "`file` or folder of documents, - for standard input (repeatable, required)")
	// The flag was added above: registering its completion cannot fail.
	_ = cmd.MarkFlagFilename("filename", "yaml", "yml", "json")
}

func (c *cli) apply(ctx context.Context, cl *client.Client, o applyOptions) error {
	documents, err := c.readDocuments(o.files)
	if err != nil {
		return err
	}
	outcomes, err := cl.Apply(ctx, texts(documents), client.ApplyOptions{DryRun: o.dryRun, Force: o.force})
	if err != nil {
		return manifest.Locate(documents, err)
	}
	outcomes = inOrder(outcomes)
	return c.print(outcomes, func() error {
		c.sayApplied(ctx, cl, o, outcomes)
		return nil
	})
}

// sayApplied prints a line for each document, and what people want to know beside.
func (c *cli) sayApplied(ctx context.Context, cl *client.Client, o applyOptions, outcomes []client.Outcome) {
	for _, outcome := range outcomes {
		line := fmt.Sprintf("%s/%s %s", strings.ToLower(outcome.Kind), outcome.Name, done(outcome.Action))
		if o.dryRun {
			line += " (dry run)"
		}
		fmt.Fprintln(c.Stdout, line)
		for _, w := range outcome.Warnings {
			fmt.Fprintf(c.Stderr, "warning: %s/%s: %s\n", strings.ToLower(outcome.Kind), outcome.Name, oneLine(w))
		}
		c.sayRollout(ctx, cl, outcome, o.dryRun)
	}
}

// inOrder sorts by kind, in the order in which the server wrote them.
func inOrder(outcomes []client.Outcome) []client.Outcome {
	rank := func(kind string) int {
		return slices.IndexFunc(resource.Kinds, func(k resource.Kind) bool { return k.Name == kind })
	}
	outcomes = slices.Clone(outcomes)
	slices.SortStableFunc(outcomes, func(a, b client.Outcome) int { return rank(a.Kind) - rank(b.Kind) })
	return outcomes
}

func done(a client.Action) string {
	switch a {
	case client.ActionCreate:
		return "created"
	case client.ActionUpdate:
		return "configured"
	}
	return string(a)
}

// sayRollout names the rollout that an apply has started.
func (c *cli) sayRollout(ctx context.Context, cl *client.Client, o client.Outcome, dryRun bool) {
	if !o.Rollout {
		return
	}
	if dryRun {
		fmt.Fprintf(c.Stdout, "  would start a rollout of %s\n", o.Name)
		return
	}
	name := "a rollout"
	// What was asked for is done; a set that cannot be read only leaves the rollout without a name.
	if d, err := cl.Get(ctx, resource.KindScaleSet, o.Name); err == nil {
		if set, err := resource.From[resource.ScaleSetSpec, resource.ScaleSetStatus](d); err == nil && set.Status.Rollout != "" {
			name = "rollout/" + set.Status.Rollout
		}
	}
	fmt.Fprintf(c.Stdout, "  started %s; watch it with `drover rollout status %s --watch`\n", name, o.Name)
}
