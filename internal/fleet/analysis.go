package fleet

import (
	"fmt"

	"github.com/droverhq/drover/internal/resource"
)

// verdict is what a window of traffic says about the new version.
type verdict int

const (
	passed       verdict = iota
	inconclusive         // it says nothing: there was too little, or it is not known
	failed
)

// finding is a verdict with its reason.
type finding struct {
	verdict verdict
	text    string
}

// window is what was counted of both colours at the same time.
type window struct {
	old, new resource.Counters
	// unknown: no gateway tells. restarted: it was started anew, and what its
	// predecessor had counted of the window is lost.
	unknown, restarted bool
}

// windowSince is what was counted since a mark was set.
func windowSince(mark *resource.AnalysisMark, old, new resource.Counters, incarnation string) window {
	switch {
	case mark == nil:
		return window{unknown: true}
	case mark.Incarnation != incarnation:
		return window{old: old, new: new, restarted: true}
	}
	return window{old: subtract(old, mark.Old), new: subtract(new, mark.New)}
}

// judgeStep is what the end of a canary step comes to. Whatever is not known for
// certain is inconclusive, but errors that were seen are errors.
func judgeStep(p resource.BlueGreenPolicy, w window) finding {
	need := uint64(max(p.MinSample, 1))
	if why := judgeErrors(p, w.new, uint64(p.MinRequests)); why != "" {
		return finding{failed, why}
	}
	switch {
	case w.unknown:
		return finding{inconclusive, "no gateway told what it had counted"}
	case w.restarted:
		return finding{inconclusive, "the gateway was started anew meanwhile, and what it had counted is lost"}
	case w.new.Requests < need:
		return tooFew("new", w.new.Requests, need)
	case w.old.Requests < need:
		return tooFew("old", w.old.Requests, need)
	}
	if why := judgeErrors(p, w.new, need); why != "" {
		return finding{failed, why}
	}
	text := fmt.Sprintf("%.1f%% of %d requests failed", errorRate(w.new), w.new.Requests)
	if p.MaxP99Ratio == nil {
		return finding{passed, text}
	}
	f := judgeLatency(*p.MaxP99Ratio, w, need)
	if f.verdict != failed {
		f.text = text + ", " + f.text
	}
	return f
}

func tooFew(version string, n, need uint64) finding {
	return finding{inconclusive, fmt.Sprintf("%d requests to the %s version are fewer than %d (minSample)", n, version, need)}
}

// judgeErrors says why the new version has too many errors, from least requests on.
func judgeErrors(p resource.BlueGreenPolicy, c resource.Counters, least uint64) string {
	if c.Requests == 0 || c.Requests < least || errorRate(c) <= float64(p.MaxErrorRate) {
		return ""
	}
	return fmt.Sprintf("%d of %d requests failed: %.1f%% is more than the %s that maxErrorRate allows",
		c.Errors+c.Failed, c.Requests, errorRate(c), p.MaxErrorRate)
}

// errorRate is in percent.
func errorRate(c resource.Counters) float64 {
	return 100 * float64(c.Errors+c.Failed) / float64(c.Requests)
}

// judgeLatency compares what both versions needed for complete answers.
func judgeLatency(most float64, w window, need uint64) finding {
	if n := answered(w.new); n < need {
		return finding{inconclusive, fmt.Sprintf("%d answers of the new version are too few to compare their latency (minSample is %d)", n, need)}
	}
	if n := answered(w.old); n < need {
		return finding{inconclusive, fmt.Sprintf("%d answers of the old version are too few to compare their latency (minSample is %d)", n, need)}
	}
	old, new := resource.LatencyQuantile(w.old.Latency, 0.99), resource.LatencyQuantile(w.new.Latency, 0.99)
	if new > most*old {
		return finding{failed, fmt.Sprintf("its p99 of %.2f ms is %.1f times the old version's %.2f ms, and maxP99Ratio allows %v", new, new/old, old, most)}
	}
	return finding{passed, fmt.Sprintf("p99 %.2f ms, of the old version %.2f ms", new, old)}
}

func answered(c resource.Counters) (n uint64) {
	for _, in := range c.Latency {
		n += in
	}
	return n
}
