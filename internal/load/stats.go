package load

import (
	"maps"
	"slices"
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
	// Dropped are those that were not sent, since their connection was closed without
	// a word after the answer before.
	Dropped uint64
	// Told are the answers after which the connection was to be closed.
	Told uint64
	// Errors are other 5xx answers: the workload's own.
	Errors    uint64
	ByVersion map[string]uint64
	Latency   map[int]uint64 // of complete answers, by resource.LatencyBucket
	Failures  []Failure      // the failed, up to a bound
}

// Failure is one failed request.
type Failure struct {
	Post bool
	// Idle: it is one of the Dropped, and Sent is when its connection was used last.
	Idle bool
	// Sent is when it was begun, later than it was due where the load had to wait.
	Sent, Ended time.Time
	What        string
}

func (f Failure) String() string { return f.What }

// Quantile is the q-quantile of the latency in milliseconds.
func (s Stats) Quantile(q float64) float64 { return resource.LatencyQuantile(s.Latency, q) }

const maxFailures = 10_000

type outcome struct {
	answer
	nonce string
	post  bool
	idle  bool
	err   error
	sent  time.Time
	took  time.Duration
}

type tally struct {
	mu sync.Mutex
	s  Stats
}

func newTally() *tally {
	return &tally{s: Stats{ByVersion: map[string]uint64{}, Latency: map[int]uint64{}}}
}

func (t *tally) count(o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Requests++
	if o.told {
		t.s.Told++
	}
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
	if o.idle {
		t.s.Dropped++
	}
	if len(t.s.Failures) < maxFailures {
		t.s.Failures = append(t.s.Failures, Failure{Post: o.post, Idle: o.idle, Sent: o.sent, Ended: time.Now(), What: describe(o)})
	}
}

func (t *tally) stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.s
	s.ByVersion, s.Latency, s.Failures = maps.Clone(s.ByVersion), maps.Clone(s.Latency), slices.Clone(s.Failures)
	return s
}
