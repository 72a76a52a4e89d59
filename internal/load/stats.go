package load

import (
	"maps"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Stats are a load's figures.
type Stats struct {
	Requests uint64 // sent, answered or not
	Failed   uint64
	// Refused are those of the failed that could not connect.
	Refused uint64
	// Errors are other 5xx answers: the workload's own.
	Errors    uint64
	ByVersion map[string]uint64
	Latency   map[int]uint64 // of complete answers, by resource.LatencyBucket
	// Failures describes the first failed requests, FailedNonces names them all (up to a bound).
	Failures     []string
	FailedNonces map[string]bool
}

// Quantile is the q-quantile of the latency in milliseconds.
func (s Stats) Quantile(q float64) float64 { return resource.LatencyQuantile(s.Latency, q) }

const (
	maxFailures = 20
	maxNonces   = 100_000
)

type outcome struct {
	nonce   string
	post    bool
	status  int
	version string
	err     error
	took    time.Duration
}

type tally struct {
	mu sync.Mutex
	s  Stats
}

func newTally() *tally {
	return &tally{s: Stats{ByVersion: map[string]uint64{}, Latency: map[int]uint64{}, FailedNonces: map[string]bool{}}}
}

func (t *tally) count(o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Requests++
	if failed(o.status, o.err) {
		t.fail(o)
		return
	}
	if o.status >= 500 {
		t.s.Errors++
	}
	t.s.ByVersion[o.version]++
	t.s.Latency[resource.LatencyBucket(o.took)]++
}

func (t *tally) fail(o outcome) {
	t.s.Failed++
	if refused(o.err) {
		t.s.Refused++
	}
	if len(t.s.Failures) < maxFailures {
		t.s.Failures = append(t.s.Failures, describe(o))
	}
	if len(t.s.FailedNonces) < maxNonces {
		t.s.FailedNonces[o.nonce] = true
	}
}

func (t *tally) stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.s
	s.ByVersion, s.Latency, s.FailedNonces = maps.Clone(s.ByVersion), maps.Clone(s.Latency), maps.Clone(s.FailedNonces)
	s.Failures = append([]string(nil), s.Failures...)
	return s
}
