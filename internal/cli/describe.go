package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// recentRollouts is how many rollouts the description of a set ends with.
const recentRollouts = 5

func (c *cli) describeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "describe KIND NAME",
		Short: "Tell everything about one document, with what belongs to it",
		Long: `Tell everything about one document, with what belongs to it. With -o json the result is
{"document","instances","rollouts"}, the last two for a scale set.`,
		Example:           "  drover describe scaleset hello\n  drover describe instance hello_3",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: c.completeKindName,
		RunE: c.run(func(ctx context.Context, cl *client.Client, args []string) error {
			kind, err := lookupKind(args[0])
			if err != nil {
				return err
			}
			d, err := cl.Get(ctx, kind.Name, args[1])
			if err != nil {
				return err
			}
			all := description{Document: d}
			if kind.Name == resource.KindScaleSet {
				if err := all.addSet(ctx, cl); err != nil {
					return err
				}
			}
			return c.print(all, func() error { return all.print(c.Stdout, time.Now()) })
		}),
	}
	return c.connects(c.formats(cmd))
}

// description is a document with what belongs to it.
type description struct {
	Document  resource.Document   `json:"document"`
	Instances []resource.Document `json:"instances,omitempty"`
	Rollouts  []resource.Document `json:"rollouts,omitempty"` // the last ones, the newest first
}

// addSet adds a set's instances and its last rollouts.
func (x *description) addSet(ctx context.Context, cl *client.Client) error {
	of := client.Filter{Set: x.Document.Name}
	instances, err := cl.List(ctx, resource.KindInstance, of)
	if err != nil {
		return err
	}
	sortByName(instances.Items)
	rollouts, err := cl.List(ctx, resource.KindRollout, of)
	if err != nil {
		return err
	}
	slices.SortFunc(rollouts.Items, func(a, b resource.Document) int {
		return rolloutNumber(b.Name) - rolloutNumber(a.Name)
	})
	x.Instances, x.Rollouts = instances.Items, rollouts.Items[:min(recentRollouts, len(rollouts.Items))]
	return nil
}

func (x description) print(w io.Writer, now time.Time) error {
	d := x.Document
	if err := describeMeta(w, d); err != nil {
		return err
	}
	if d.Kind == resource.KindRollout {
		ro, err := resource.From[resource.RolloutSpec, resource.RolloutStatus](d)
		if err != nil {
			return err
		}
		return printRollout(w, ro, now)
	}
	if err := describeBlock(w, "Spec", d.Spec); err != nil {
		return err
	}
	status, conditions, err := splitConditions(d.Status)
	if err != nil {
		return fmt.Errorf("decode status of %s %s: %w", d.Kind, d.Name, err)
	}
	if err := describeBlock(w, "Status", status); err != nil {
		return err
	}
	if err := describeConditions(w, conditions, now); err != nil {
		return err
	}
	if d.Kind != resource.KindScaleSet {
		return nil
	}
	if err := related(w, "Instances", resource.KindInstance, x.Instances); err != nil {
		return err
	}
	return related(w, "Recent rollouts", resource.KindRollout, x.Rollouts)
}

func describeMeta(w io.Writer, d resource.Document) error {
	t := newTable(w)
	t.row("Name:", d.Name)
	t.row("Kind:", d.Kind)
	for _, key := range slices.Sorted(maps.Keys(d.Labels)) {
		t.row("Label:", key+"="+d.Labels[key])
	}
	for _, key := range slices.Sorted(maps.Keys(d.Annotations)) {
		t.row("Annotation:", key+"="+d.Annotations[key])
	}
	t.row("Created:", d.Created.Local().Format(time.DateTime)+" ("+age(time.Now(), d.Created)+" ago)")
	t.row("Revision:", fmt.Sprintf("%d, generation %d", d.Revision, d.Generation))
	return t.flush()
}

// describeBlock prints a part of a document as indented YAML, in its own order.
func describeBlock(w io.Writer, title string, raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" || string(raw) == "{}" {
		return nil
	}
	text, err := yaml.JSONToYAML(raw)
	if err != nil {
		return fmt.Errorf("print the %s as YAML: %w", strings.ToLower(title), err)
	}
	fmt.Fprintf(w, "%s:\n", title)
	for line := range strings.Lines(string(text)) {
		fmt.Fprintf(w, "  %s\n", strings.TrimRight(line, "\n"))
	}
	return nil
}

// splitConditions takes the conditions out of a status: they have a table of their own.
func splitConditions(status json.RawMessage) (json.RawMessage, []resource.Condition, error) {
	if len(status) == 0 {
		return nil, nil, nil
	}
	var own struct {
		Conditions []resource.Condition `json:"conditions"`
	}
	if err := json.Unmarshal(status, &own); err != nil {
		return nil, nil, err
	}
	if len(own.Conditions) == 0 {
		return status, nil, nil
	}
	rest, err := withoutField(status, "conditions")
	return rest, own.Conditions, err
}

// withoutField copies an object without one of its fields, keeping the order of the others.
func withoutField(raw json.RawMessage, field string) (json.RawMessage, error) {
	var fields yaml.MapSlice
	if err := yaml.UnmarshalWithOptions(raw, &fields, yaml.UseOrderedMap()); err != nil {
		return nil, err
	}
	fields = slices.DeleteFunc(fields, func(item yaml.MapItem) bool { return item.Key == field })
	text, err := yaml.MarshalWithOptions(fields, yaml.JSON())
	return text, err
}

func describeConditions(w io.Writer, conditions []resource.Condition, now time.Time) error {
	if len(conditions) == 0 {
		return nil
	}
	fmt.Fprintln(w, "Conditions:")
	t := newTable(w, "  TYPE", "STATUS", "SINCE", "REASON", "MESSAGE")
	for _, cond := range conditions {
		t.row("  "+cond.Type, fmt.Sprint(cond.Status), age(now, cond.Since), cond.Reason, cond.Message)
	}
	return t.flush()
}

func related(w io.Writer, title, kind string, items []resource.Document) error {
	if len(items) == 0 {
		fmt.Fprintf(w, "\n%s: none\n", title)
		return nil
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	return printRows(w, kind, items)
}
