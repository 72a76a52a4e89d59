package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
)

// Result is what the demo saw; its JSON is the last line of `drover demo -o json`.
type Result struct {
	Requests  uint64            `json:"requests"`
	Failed    uint64            `json:"failed"`
	Retried   uint64            `json:"retried"`
	Cut       uint64            `json:"cut"`
	P50Ms     float64           `json:"p50Ms"`
	P99Ms     float64           `json:"p99Ms"`
	ByVersion map[string]uint64 `json:"byVersion"`
	Rollouts  []RolloutResult   `json:"rollouts"`

	failures []load.Failure
}

// RolloutResult is one rollout's end.
type RolloutResult struct {
	Set      string                   `json:"set"`
	Strategy resource.UpgradeMode     `json:"strategy"`
	From     string                   `json:"from"`
	To       string                   `json:"to"`
	Phase    resource.RolloutPhase    `json:"phase"`
	Reason   string                   `json:"reason,omitempty"`
	Seconds  float64                  `json:"seconds"`
	Traffic  []resource.TrafficReport `json:"traffic,omitempty"`
}

func (r *Result) addLoad(s load.Stats) {
	r.Requests, r.Failed, r.ByVersion = s.Requests, s.Failed, s.ByVersion
	r.P50Ms, r.P99Ms = s.Quantile(0.5), s.Quantile(0.99)
	r.failures = s.Failures
}

func (r *Result) addRollout(ro resource.Rollout) {
	out := RolloutResult{
		Set: ro.Spec.Set, Strategy: ro.Spec.Strategy,
		From: ro.Status.FromModel.Version, To: ro.Status.ToModel.Version,
		Phase: ro.Status.Phase, Reason: ro.Status.Reason, Traffic: ro.Status.Report.Traffic,
	}
	if begun, ended := ro.Status.StartedAt, ro.Status.EndedAt; begun != nil {
		if ended == nil { // the demo's time was over before
			ended = new(time.Now())
		}
		out.Seconds = ended.Sub(*begun).Seconds()
	}
	r.Rollouts = append(r.Rollouts, out)
}

// verdict says what was not as promised, or nothing.
func (r *Result) verdict() error {
	if r.Failed > 0 {
		return fmt.Errorf("%d of %d requests failed, the first: %s", r.Failed, r.Requests, r.failures[0])
	}
	want := []resource.RolloutPhase{resource.RolloutSucceeded, resource.RolloutRolledBack}
	for i, phase := range want {
		if i >= len(r.Rollouts) {
			return fmt.Errorf("rollout %d of %d did not take place", i+1, len(want))
		}
		if got := r.Rollouts[i]; got.Phase != phase {
			return fmt.Errorf("the rollout %s → %s ended %s (%s), not %s", got.From, got.To, got.Phase, got.Reason, phase)
		}
	}
	return nil
}

func (r *Result) printJSON(w io.Writer) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", line)
	return err
}

func (r *Result) printTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "REQUESTS\tFAILED\tRETRIED\tCUT\tP50\tP99")
	fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%.1f ms\t%.1f ms\n", r.Requests, r.Failed, r.Retried, r.Cut, r.P50Ms, r.P99Ms)
	fmt.Fprintln(t, "\nVERSION\tANSWERS")
	for _, v := range slices.Sorted(maps.Keys(r.ByVersion)) {
		fmt.Fprintf(t, "%s\t%d\n", v, r.ByVersion[v])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, ro := range r.Rollouts {
		if err := ro.print(w); err != nil {
			return err
		}
	}
	return nil
}

func (r RolloutResult) print(w io.Writer) error {
	phase := string(r.Phase)
	if !r.Phase.Terminal() {
		phase = "still " + phase
	}
	fmt.Fprintf(w, "\n%s %s → %s: %s after %.1f s\n", r.Strategy, r.From, r.To, phase, r.Seconds)
	if r.Reason != "" {
		fmt.Fprintf(w, "  %s\n", r.Reason)
	}
	t := tabwriter.NewWriter(w, 2, 0, 3, ' ', 0)
	fmt.Fprintln(t, "  WINDOW\tVERSION\tREQUESTS\tFAILED\tRETRIED\tCUT\tERRORS\tP50\tP99")
	for _, x := range r.Traffic {
		fmt.Fprintf(t, "  %s\t%s\t%d\t%d\t%d\t%d\t%d\t%.1f ms\t%.1f ms\n",
			x.Window, x.Version, x.Requests, x.Failed, x.Retried, x.Cut, x.Errors, x.P50Ms, x.P99Ms)
	}
	return t.Flush()
}
