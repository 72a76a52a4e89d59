package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

type deleteOptions struct {
	all, noWait bool
	timeout     duration
}

func (c *cli) deleteCommand() *cobra.Command {
	o := deleteOptions{timeout: duration(30 * time.Minute)}
	cmd := &cobra.Command{
		Use:   "delete KIND NAME | delete KIND --all",
		Short: "Delete one document, or all of a kind",
		Long: `Delete one document, or all of a kind, and return when they are gone. Deleting a scale
set cancels its rollout, drains its instances and removes their data; deleting an
instance drains it and makes its set one smaller. With -o json the
result is {"kind","name","deleted"}, or an array of them with --all; deleted is false for
what --no-wait left on its way out.`,
		Example: `  drover delete scaleset hello
  drover delete loadbalancers --all`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: c.completeKindName,
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			return c.delete(ctx, cl, o, args)
		}),
	}
	cmd.Flags().BoolVar(&o.all, "all", false, "all documents of the kind")
	o.waits(cmd)
	return c.connects(c.formats(cmd))
}

// waits gives a command the flags that say whether it waits for the end.
func (o *deleteOptions) waits(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.noWait, "no-wait", false, "return once the deletion has begun")
	cmd.Flags().Var(&o.timeout, "timeout", "how long to wait for the end")
}

func (c *cli) delete(ctx context.Context, cl *client.Client, o deleteOptions, args []string) error {
	kind, err := lookupKind(args[0])
	if err != nil {
		return err
	}
	if o.all == (len(args) == 2) {
		return usagef("give either one NAME or --all")
	}
	names := args[1:]
	if o.all {
		list, err := cl.List(ctx, kind.Name, client.Filter{})
		if err != nil {
			return err
		}
		for _, d := range list.Items {
			names = append(names, d.Name)
		}
	}
	gone := deletions{cli: c, kind: kind}
	failed := c.deleteEach(ctx, cl, o, &gone, names)
	return errors.Join(failed, gone.print(o.all))
}

// deleteEach deletes what is named and, unless told otherwise, waits for its end.
func (c *cli) deleteEach(ctx context.Context, cl *client.Client, o deleteOptions, gone *deletions, names []string) error {
	var failed []error
	var begun []string
	for _, name := range names {
		done, err := cl.Delete(ctx, gone.kind.Name, name)
		switch {
		case o.all && resource.IsCode(err, resource.CodeNotFound): // gone since the list
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", label(gone.kind, name), err))
		case done || o.noWait:
			gone.add(name, done)
		default:
			begun = append(begun, name)
		}
	}
	if len(begun) > 0 {
		failed = append(failed, c.waitGone(ctx, cl, o, gone, begun))
	}
	return errors.Join(failed...)
}

// deletion is what became of one document, for programs.
type deletion struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Deleted bool   `json:"deleted"` // false: it is on its way out
}

// deletions tells people of each as it happens, and programs of all at the end.
type deletions struct {
	cli  *cli
	kind resource.Kind
	all  []deletion
}

func (d *deletions) add(name string, gone bool) {
	d.all = append(d.all, deletion{d.kind.Name, name, gone})
	if d.cli.format != formatTable {
		return
	}
	verb := "deleted"
	if !gone {
		verb = "is being deleted"
	}
	fmt.Fprintf(d.cli.Stdout, "%s %s\n", label(d.kind, name), verb)
}

// print prints an array for --all, else the one; nothing when that one failed.
func (d *deletions) print(all bool) error {
	switch {
	case d.cli.format == formatTable || !all && len(d.all) == 0:
		return nil
	case all:
		return printValue(d.cli.Stdout, d.cli.format, append([]deletion{}, d.all...))
	}
	return printValue(d.cli.Stdout, d.cli.format, d.all[0])
}

// waitGone returns when none of the documents is there any more.
func (c *cli) waitGone(ctx context.Context, cl *client.Client, o deleteOptions, gone *deletions, names []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(o.timeout), fmt.Errorf("still not gone after %s", o.timeout))
	defer cancel()
	if _, ok := terminal(c.Stderr); ok {
		fmt.Fprintf(c.notes(), "waiting until %s gone…\n", are(len(names)))
	}
	list, err := cl.List(ctx, gone.kind.Name, client.Filter{})
	if err != nil {
		return err
	}
	left := map[string]bool{}
	for _, d := range list.Items {
		left[d.Name] = true
	}
	waiting := map[string]bool{}
	for _, name := range names {
		if left[name] {
			waiting[name] = true
		} else {
			gone.add(name, true)
		}
	}
	return c.watchGone(ctx, cl, gone, waiting, list)
}

func (c *cli) watchGone(ctx context.Context, cl *client.Client, gone *deletions, waiting map[string]bool, from client.List) error {
	if len(waiting) == 0 {
		return nil
	}
	for change, err := range cl.Watch(ctx, client.WatchOptions{Kind: gone.kind.Name, From: from, Interrupted: interrupted(c.notes())}) {
		if err != nil {
			return fmt.Errorf("wait for the end of %s: %w; the deletion goes on", count(len(waiting), "deletion"), err)
		}
		if name := change.Document.Name; change.Deleted && waiting[name] {
			gone.add(name, true)
			delete(waiting, name)
		}
		if len(waiting) == 0 {
			break
		}
	}
	return nil
}

// label is how a document is named in messages: scaleset/hello.
func label(kind resource.Kind, name string) string { return strings.ToLower(kind.Name) + "/" + name }

func are(n int) string {
	if n == 1 {
		return "it is"
	}
	return fmt.Sprintf("all %d are", n)
}
