package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

func (c *cli) statusCommand() *cobra.Command {
	var acknowledge bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the server, its gateway and its sets at a glance",
		Long: `Show the server, its gateway and its sets at a glance. What was repaired when files were
damaged is shown until an Owner has taken note of it with --acknowledge, which prints it
a last time. Files that were set aside stay where they are.`,
		Example: "  drover status\n  drover status --acknowledge",
		RunE: c.run(func(ctx context.Context, cl *client.Client, _ []string) error {
			if acknowledge {
				return c.acknowledge(ctx, cl)
			}
			s, err := cl.Status(ctx)
			if err != nil {
				return err
			}
			return c.print(s, func() error { return printStatus(c.Stdout, cl.Server(), s, time.Now()) })
		}),
	}
	cmd.Flags().BoolVar(&acknowledge, "acknowledge", false, "show what was repaired a last time")
	return c.connects(c.formats(cmd))
}

// acknowledged is the report of a repair that was shown a last time.
type acknowledged struct {
	Acknowledged *client.Recovery `json:"acknowledged"` // null: there was none
}

func (c *cli) acknowledge(ctx context.Context, cl *client.Client) error {
	report, err := cl.AcknowledgeRecovery(ctx)
	if err != nil {
		return err
	}
	if report == nil {
		return c.tell(acknowledged{}, "Nothing was repaired since the last time.")
	}
	return c.tell(acknowledged{report}, "Acknowledged: %s", recoveryText(*report))
}

func printStatus(w io.Writer, server string, s client.Status, now time.Time) error {
	t := newTable(w)
	t.row("Server:", fmt.Sprintf("%s, version %s, revision %d", server, s.Version, s.Revision))
	if sys := s.System; sys != nil {
		t.row("Up for:", age(now, sys.StartedAt))
		t.row("Gateway:", gatewayText(*sys, now))
		t.row("Disk:", diskText(*sys))
	}
	if s.Recovery != nil {
		t.row("Repaired:", recoveryText(*s.Recovery)+" (drover status --acknowledge)")
	}
	if err := t.flush(); err != nil {
		return err
	}
	if err := printSets(w, s.Sets); err != nil {
		return err
	}
	for _, b := range s.Balancers {
		for _, cond := range b.Conditions {
			if cond.Status == (cond.Type == resource.ConditionNotApplied) { // the others are good news when true
				fmt.Fprintln(w, conditionLine(b.Name, cond))
			}
		}
	}
	return nil
}

func gatewayText(s client.System, now time.Time) string {
	g := s.Gateway
	text := g.State
	if g.PID > 0 {
		text += fmt.Sprintf(", process %d", g.PID)
	}
	if !g.StartedAt.IsZero() {
		text += ", up for " + age(now, g.StartedAt)
	}
	if g.Applied > 0 {
		text += fmt.Sprintf(", routes by revision %d", g.Applied)
	}
	if g.Detail != "" {
		text += ": " + g.Detail
	}
	return text
}

func diskText(s client.System) string {
	text := fmt.Sprintf("%s of %s free below %s", sizeText(int64(s.Disk.Free)), sizeText(int64(s.Disk.Size)), s.Disk.Path)
	if s.Disk.Full {
		text += "; FULL: new work is refused until space is freed"
	}
	return text
}

// recoveryText says what was lost, if anything, and where the damaged files are.
func recoveryText(r client.Recovery) string {
	text := r.At.Local().Format(time.DateTime) + ": " + r.Reason
	if r.Snapshot != "" {
		text += fmt.Sprintf("; serves the snapshot of %s", r.SnapshotTime.Local().Format(time.DateTime))
	}
	if r.LastKnown > r.MissingAfter {
		text += fmt.Sprintf("; changes after revision %d may be missing", r.MissingAfter)
	}
	if n := len(r.Rows); n > 0 {
		text += "; " + count(n, "damaged row") + " set aside"
	}
	if len(r.SetAside) > 0 {
		text += "; set aside: " + strings.Join(r.SetAside, ", ")
	}
	return text
}

func printSets(w io.Writer, sets []client.SetStatus) error {
	if len(sets) == 0 {
		fmt.Fprintln(w, "\nNo scale sets.")
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "SCALE SET", "IMAGE", "RUNNING", "CAPACITY", "HEALTHY", "INSERVICE", "ROLLOUT")
	for _, s := range sets {
		t.row(s.Name, s.Image, s.Version, strconv.Itoa(s.Capacity), strconv.Itoa(s.Instances.Healthy), strconv.Itoa(s.Instances.InService), s.Rollout)
	}
	if err := t.flush(); err != nil {
		return err
	}
	for _, s := range sets {
		for _, cond := range s.Conditions {
			fmt.Fprintln(w, conditionLine(s.Name, cond))
		}
	}
	return nil
}

func conditionLine(name string, c resource.Condition) string {
	text := fmt.Sprintf("%s: %s", name, c.Type)
	if !c.Status {
		text = fmt.Sprintf("%s: not %s", name, c.Type)
	}
	if c.Reason != "" && c.Reason != c.Type {
		text += " (" + c.Reason + ")"
	}
	if c.Message != "" {
		text += ": " + oneLine(c.Message)
	}
	return text
}
