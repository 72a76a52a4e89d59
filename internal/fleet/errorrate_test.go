package fleet

import (
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

// The new version's own errors, and what the gateway could not get from it, send a
// bake back when they are more than maxErrorRate, from minRequests on. What was
// counted before the traffic moved, and the old version's, is not looked at.
func TestErrorRateOfABake(t *testing.T) {
	for _, test := range []struct {
		name         string
		before, now  resource.Counters
		incarnation  string
		old          resource.Counters
		unknown, bad bool
	}{
		{name: "no traffic"},
		{name: "at the limit", now: resource.Counters{Requests: 100, Errors: 5}},
		{name: "above it", now: resource.Counters{Requests: 100, Errors: 6}, bad: true},
		{name: "failed and errors together", now: resource.Counters{Requests: 100, Errors: 3, Failed: 3}, bad: true},
		{name: "cut is the instance's end, which its health says", now: resource.Counters{Requests: 100, Cut: 50}},
		{name: "too few to tell", now: resource.Counters{Requests: 49, Errors: 49}},
		{name: "just enough to tell", now: resource.Counters{Requests: 50, Errors: 50}, bad: true},
		{name: "from before the move", before: resource.Counters{Requests: 100, Errors: 100}, now: resource.Counters{Requests: 200, Errors: 101}},
		{name: "since the move", before: resource.Counters{Requests: 1000}, now: resource.Counters{Requests: 1100, Errors: 50}, bad: true},
		{name: "a gateway that counts anew", before: resource.Counters{Requests: 1000}, incarnation: "second", now: resource.Counters{Requests: 60, Errors: 30}, bad: true},
		{name: "the old version's", old: resource.Counters{Requests: 100, Errors: 100}},
		{name: "no gateway answers", unknown: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := viewIn(resource.RolloutBaking, false)
			v.Instances[1].Status.Health = resource.HealthHealthy
			s := &v.Rollout.Status
			s.Policy.MaxErrorRate, s.Policy.MinRequests = 5, 50
			s.Shifted = &resource.Shift{At: v.Now}
			s.Analysis = &resource.AnalysisMark{Incarnation: "first", New: test.before}
			incarnation := "first"
			if test.incarnation != "" {
				incarnation = test.incarnation
			}
			if !test.unknown {
				v.Figures = &Figures{Incarnation: incarnation, ByColour: map[resource.Colour]map[string]resource.Counters{
					s.OldColour: {"1.0.0": test.old}, s.NewColour: {"2.0.0": test.now},
				}}
			}
			got := Decide(v).Rollout.Status
			if back := got.Phase == resource.RolloutRollingBack; back != test.bad || got.MarkBad != test.bad {
				t.Errorf("it goes to %s with MarkBad %t: %s", got.Phase, got.MarkBad, got.Reason)
			}
		})
	}
}
