package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/client/manifest"
)

// exitDifferent is what diff says with its exit code; an error is exitUsage there.
const exitDifferent = exit(1)

func (c *cli) diffCommand() *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "diff -f FILE|FOLDER|-",
		Short: "Show what an apply would change",
		Long: `Show what an apply would change, and write nothing. The exit code is 0 when nothing
would change, 1 when something would, 2 on an error. With -o json it is an array of the
documents that would change, with what would change in each.`,
		Example: "  drover diff -f hello.yaml",
		RunE: c.run(func(ctx context.Context, cl *client.Client, _ []string) error {
			return c.diff(ctx, cl, files)
		}),
	}
	addFiles(cmd, &files)
	return c.connects(c.formats(cmd))
}

func (c *cli) diff(ctx context.Context, cl *client.Client, files []string) error {
	documents, err := c.readDocuments(files)
	if err != nil {
		return err
	}
	// A model that is known to be bad would be refused; what differs is the question here.
	outcomes, err := cl.Apply(ctx, texts(documents), client.ApplyOptions{DryRun: true, Force: true})
	if err != nil {
		return manifest.Locate(documents, err)
	}
	different := slices.DeleteFunc(inOrder(outcomes), func(o client.Outcome) bool { return o.Action == client.ActionUnchanged })
	err = c.print(different, func() error {
		for _, o := range different {
			if err := printDiff(c.Stdout, o); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && len(different) > 0 {
		return exitDifferent
	}
	return err
}

func printDiff(w io.Writer, o client.Outcome) error {
	fmt.Fprintf(w, "%s/%s", strings.ToLower(o.Kind), o.Name)
	if o.Action == client.ActionCreate {
		fmt.Fprint(w, " (new)")
	}
	if o.Rollout {
		fmt.Fprint(w, " (starts a rollout)")
	}
	fmt.Fprintln(w)
	for _, f := range o.Changes {
		for _, side := range []struct {
			sign  string
			value any
		}{{"-", f.From}, {"+", f.To}} {
			if side.value == nil {
				continue
			}
			value, err := marshal(side.value, "")
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s %s: %s", side.sign, f.Pointer, value)
		}
	}
	return nil
}
