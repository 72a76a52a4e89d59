package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// answers are n requests, each of which took that long.
func answers(n uint64, took time.Duration) resource.Counters {
	return resource.Counters{Requests: n, Latency: map[int]uint64{resource.LatencyBucket(took): n}}
}

func withErrors(c resource.Counters, errors, failed uint64) resource.Counters {
	c.Errors, c.Failed = errors, failed
	return c
}

// Every outcome of a canary step's analysis.
func TestAnalysisOfACanaryStep(t *testing.T) {
	const ms = time.Millisecond
	ratio := new(2.0)
	for _, test := range []struct {
		name     string
		ratio    *float64
		old, new resource.Counters
		unknown  bool
		restart  bool
		want     verdict
		says     string
	}{
		{name: "as fast and without errors", ratio: ratio, old: answers(1000, 10*ms), new: answers(100, 10*ms), want: passed, says: "0.0% of 100 requests failed, p99"},
		{name: "no ratio is asked for", old: answers(1000, 10*ms), new: answers(100, 900*ms), want: passed, says: "0.0% of 100 requests failed"},
		{name: "some errors, as the old one has", old: withErrors(answers(1000, ms), 900, 0), new: withErrors(answers(100, ms), 5, 0), want: passed, says: "5.0% of 100"},
		{name: "too many errors", old: answers(1000, ms), new: withErrors(answers(100, ms), 6, 0), want: failed, says: "6 of 100 requests failed: 6.0% is more than the 5%"},
		{name: "failed count as errors do", old: answers(1000, ms), new: withErrors(answers(100, ms), 3, 3), want: failed, says: "maxErrorRate"},
		{name: "cut do not", old: answers(1000, ms), new: resource.Counters{Requests: 100, Cut: 100}, want: passed},
		{name: "too many errors are enough before there is a sample", old: answers(3, ms), new: withErrors(answers(50, ms), 50, 0), want: failed, says: "50 of 50"},
		{name: "one request less tells nothing", old: answers(1000, ms), new: withErrors(answers(49, ms), 49, 0), want: inconclusive, says: "49 requests to the new version are fewer than 100 (minSample)"},
		{name: "too slow", ratio: ratio, old: answers(1000, 10*ms), new: answers(100, 25*ms), want: failed, says: "times the old version's"},
		{name: "slower, but not by that much", ratio: ratio, old: answers(1000, 10*ms), new: answers(100, 18*ms), want: passed},
		{name: "its slowest hundredth alone", ratio: ratio, old: answers(1000, 10*ms), new: answers(990, 10*ms).Plus(answers(10, time.Second)), want: passed},
		{name: "more than its slowest hundredth", ratio: ratio, old: answers(1000, 10*ms), new: answers(980, 10*ms).Plus(answers(20, time.Second)), want: failed},
		{name: "nobody asked the new one", ratio: ratio, old: answers(1000, ms), want: inconclusive, says: "0 requests to the new version"},
		{name: "nobody asked the old one", ratio: ratio, new: answers(1000, ms), want: inconclusive, says: "0 requests to the old version"},
		{name: "nobody asked", want: inconclusive},
		{name: "too few of the old one", old: answers(99, ms), new: answers(100, ms), want: inconclusive, says: "99 requests to the old version"},
		{name: "streams have no latency", ratio: ratio, old: answers(1000, ms), new: resource.Counters{Requests: 100}, want: inconclusive, says: "0 answers of the new version"},
		{name: "nor the old one's", ratio: ratio, old: resource.Counters{Requests: 1000}, new: answers(100, ms), want: inconclusive, says: "0 answers of the old version"},
		{name: "nobody tells", unknown: true, want: inconclusive, says: "no gateway told"},
		{name: "the gateway was started anew", restart: true, ratio: ratio, old: answers(1000, ms), new: answers(1000, ms), want: inconclusive, says: "started anew"},
		{name: "it was, and what it saw is slow", restart: true, ratio: ratio, old: answers(1000, ms), new: answers(1000, time.Second), want: inconclusive, says: "started anew"},
		{name: "it was, and it saw errors all the same", restart: true, old: answers(1000, ms), new: withErrors(answers(100, ms), 50, 0), want: failed, says: "50 of 100"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := resource.DefaultScaleSetSpec().UpgradePolicy.BlueGreen
			p.MaxP99Ratio = test.ratio
			got := judgeStep(p, window{old: test.old, new: test.new, unknown: test.unknown, restarted: test.restart})
			if got.verdict != test.want || !strings.Contains(got.text, test.says) {
				t.Errorf("verdict %d, want %d: %s", got.verdict, test.want, got.text)
			}
		})
	}
}

// A window holds what was counted in it and nothing from before.
func TestWindow(t *testing.T) {
	const ms = time.Millisecond
	mark := &resource.AnalysisMark{Incarnation: "first", Old: answers(500, ms), New: withErrors(answers(40, time.Second), 40, 0)}
	for _, test := range []struct {
		name        string
		mark        *resource.AnalysisMark
		incarnation string
		old, new    resource.Counters
		want        window
	}{
		{"since the mark", mark, "first", answers(700, ms), withErrors(answers(40, time.Second).Plus(answers(10, ms)), 41, 0),
			window{old: answers(200, ms), new: withErrors(answers(10, ms), 1, 0)}},
		{"a gateway that counts anew", mark, "second", answers(7, ms), answers(3, ms), window{old: answers(7, ms), new: answers(3, ms), restarted: true}},
		{"no mark", nil, "first", answers(700, ms), answers(3, ms), window{unknown: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := windowSince(test.mark, test.old, test.new, test.incarnation)
			if got.unknown != test.want.unknown || got.restarted != test.want.restarted ||
				!sameCounters(got.old, test.want.old) || !sameCounters(got.new, test.want.new) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func sameCounters(a, b resource.Counters) bool {
	return a.Requests == b.Requests && a.Errors == b.Errors && a.Failed == b.Failed &&
		answered(a) == answered(b) && resource.LatencyQuantile(a.Latency, 0.99) == resource.LatencyQuantile(b.Latency, 0.99)
}
