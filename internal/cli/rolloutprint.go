package cli

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// printRollout shows a rollout and its report.
func printRollout(w io.Writer, ro resource.Rollout, now time.Time) error {
	st := ro.Status
	fmt.Fprintf(w, "rollout/%s: %s\n", ro.Name, direction(ro))
	fmt.Fprintf(w, "%s\n", outcome(ro, now))
	if st.Phase == resource.RolloutPaused && st.PausedUntil != nil {
		fmt.Fprintf(w, "paused until %s, then it goes back\n", st.PausedUntil.Local().Format(time.DateTime))
	}
	if st.AwaitsPromotion {
		fmt.Fprintf(w, "waits for `drover rollout promote %s`\n", ro.Spec.Set)
	}
	if len(st.Weights) > 1 {
		fmt.Fprintf(w, "traffic: %s\n", weightsText(st.Weights))
	}
	if st.Preview != "" {
		fmt.Fprintf(w, "the new version can be seen at http://%s\n", st.Preview)
	}
	for _, warning := range st.Warnings {
		fmt.Fprintf(w, "warning: %s\n", oneLine(warning))
	}
	if err := printSteps(w, st.Report.Steps, now); err != nil {
		return err
	}
	if err := printTraffic(w, st.Report.Traffic); err != nil {
		return err
	}
	return printDrains(w, st.Report.Drains)
}

// outcome is the phase, how long it took, and why it is so.
func outcome(ro resource.Rollout, now time.Time) string {
	text := string(ro.Status.Phase)
	if d := took(ro, now); d != "" {
		text += " after " + d
	}
	if ro.Status.Reason != "" {
		text += ": " + oneLine(ro.Status.Reason)
	}
	return text
}

func printSteps(w io.Writer, steps []resource.StepReport, now time.Time) error {
	if len(steps) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "STEP", "TOOK", "DETAIL")
	for _, s := range steps {
		end := now
		if s.EndedAt != nil {
			end = *s.EndedAt
		}
		t.row(s.Name, span(end.Sub(s.StartedAt)), s.Detail)
	}
	return t.flush()
}

func printTraffic(w io.Writer, traffic []resource.TrafficReport) error {
	if len(traffic) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "VERSION", "WINDOW", "REQUESTS", "FAILED", "RETRIED", "CUT", "ERRORS", "P50 MS", "P99 MS")
	for _, r := range traffic {
		t.row(r.Version, r.Window, number(r.Requests), number(r.Failed), number(r.Retried), number(r.Cut), number(r.Errors),
			millis(r.P50Ms), millis(r.P99Ms))
	}
	return t.flush()
}

func printDrains(w io.Writer, drains []resource.DrainReport) error {
	if len(drains) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := newTable(w, "DRAINED", "IN FLIGHT", "ENDED")
	for _, d := range drains {
		t.row(d.Instance, strconv.Itoa(d.InFlight), string(d.Ended))
	}
	return t.flush()
}

func number(n uint64) string   { return strconv.FormatUint(n, 10) }
func millis(ms float64) string { return strconv.FormatFloat(ms, 'f', 2, 64) }
