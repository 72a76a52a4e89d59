package demo

import (
	"errors"
	"io"
	"testing"

	"github.com/spf13/cobra"

	"github.com/droverhq/drover/internal/load"
)

// What cannot be meant is refused with the flags, which is wrong usage, and not by
// the story, which would be a failure of the demo.
func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"-o", "yaml"}, {"--duration", "5s"}, {"--duration", "soon"}} {
		cmd := Command()
		cmd.SetArgs(args)
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		wrong := errors.New("wrong usage")
		cmd.SetFlagErrorFunc(func(*cobra.Command, error) error { return wrong })
		if err := cmd.Execute(); !errors.Is(err, wrong) {
			t.Errorf("demo %v: %v, want wrong usage", args, err)
		}
	}
}

func TestVerdict(t *testing.T) {
	good := []RolloutResult{{Phase: "Succeeded"}, {Phase: "RolledBack"}}
	for _, test := range []struct {
		name   string
		result Result
		ok     bool
	}{
		{"as promised", Result{Requests: 10, Rollouts: good}, true},
		{"a failed request", Result{Requests: 10, Failed: 1, Rollouts: good, failures: []load.Failure{{What: "status 502"}}}, false},
		{"the good one failed", Result{Rollouts: []RolloutResult{{Phase: "RolledBack"}, {Phase: "RolledBack"}}}, false},
		{"the bad one succeeded", Result{Rollouts: []RolloutResult{{Phase: "Succeeded"}, {Phase: "Succeeded"}}}, false},
		{"the bad one never began", Result{Rollouts: good[:1]}, false},
	} {
		if err := test.result.verdict(); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
