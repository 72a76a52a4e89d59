package cli

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

type getOptions struct {
	watch  bool
	labels []string
	set    string
}

func (c *cli) getCommand() *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get KIND [NAME]",
		Short: "List documents, or show one",
		Long: `List the documents of a kind, or show one. KIND is taken in singular or plural
and in any case. With -o json a kind is an array of documents, a name one document;
with --watch every document and then every change is one line.`,
		Example: `  drover get scalesets
  drover get instances --set hello --watch
  drover get scaleset hello -o json`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: c.completeKindName,
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			return c.get(ctx, cl, o, args)
		}),
	}
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "go on with the changes until Ctrl-C")
	cmd.Flags().StringArrayVarP(&o.labels, "label", "l", nil, "only documents with this `KEY=VALUE` (repeatable: with all of them)")
	cmd.Flags().StringVar(&o.set, "set", "", "only what belongs to this scale `set` (or image)")
	return c.connects(c.formats(cmd))
}

func (c *cli) get(ctx context.Context, cl *client.Client, o getOptions, args []string) error {
	kind, err := lookupKind(args[0])
	if err != nil {
		return err
	}
	filter := client.Filter{Set: o.set}
	if filter.Labels, err = parseLabels(o.labels); err != nil {
		return err
	}
	if len(args) == 1 {
		list, err := cl.List(ctx, kind.Name, filter)
		if err != nil {
			return err
		}
		sortByName(list.Items)
		return c.show(ctx, cl, o, kind, filter, list)
	}
	if o.set != "" || len(o.labels) > 0 {
		return usagef("--set and --label narrow a list; %q is one document", args[1])
	}
	filter.Name = args[1]
	d, err := cl.Get(ctx, kind.Name, args[1])
	if err != nil {
		return err
	}
	// From the document's own revision a watch repeats what is older than now, but misses nothing.
	list := client.List{Items: []resource.Document{d}, Revision: d.Revision}
	if !o.watch && c.format != formatTable {
		return printValue(c.Stdout, c.format, d)
	}
	return c.show(ctx, cl, o, kind, filter, list)
}

// show prints a list and, if asked to, what changes in it.
func (c *cli) show(ctx context.Context, cl *client.Client, o getOptions, kind resource.Kind, f client.Filter, list client.List) error {
	if !o.watch {
		return c.printList(kind.Name, list.Items)
	}
	rows := rowPrinter{w: c.Stdout, format: c.format, columns: columnsOf(kind.Name)}
	if err := rows.begin(list.Items); err != nil {
		return err
	}
	for change, err := range cl.Watch(ctx, client.WatchOptions{Kind: kind.Name, Filter: f, From: list, Interrupted: interrupted(c.notes())}) {
		if err == nil {
			err = rows.change(change)
		}
		if err != nil {
			return untilInterrupted(ctx, err)
		}
	}
	return nil
}

// printList prints documents of one kind.
func (c *cli) printList(kind string, items []resource.Document) error {
	if items == nil {
		items = []resource.Document{} // an array, also when there is none
	}
	return c.print(items, func() error { return printRows(c.Stdout, kind, items) })
}

func printRows(w io.Writer, kind string, items []resource.Document) error {
	columns := columnsOf(kind)
	t := newTable(w, columns.header...)
	now := time.Now()
	for _, d := range items {
		cells, err := columns.cells(now, d)
		if err != nil {
			return err
		}
		t.row(cells...)
	}
	return t.flush()
}

func lookupKind(s string) (resource.Kind, error) {
	k, err := resource.LookupKind(s)
	if err != nil {
		return k, usageError{err}
	}
	return k, nil
}

func parseLabels(labels []string) (map[string]string, error) {
	out := make(map[string]string, len(labels))
	for _, l := range labels {
		k, v, ok := strings.Cut(l, "=")
		if !ok || k == "" {
			return nil, usagef("--label %q: want KEY=VALUE", l)
		}
		if old, twice := out[k]; twice && old != v {
			return nil, usagef("--label %s: it cannot be both %q and %q", k, old, v)
		}
		out[k] = v
	}
	return out, nil
}
