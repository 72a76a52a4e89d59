// Package tally counts requests. What each count means is in the documents'
// "What is counted": a request that was cut did not fail, one that was retried
// was answered in the end, and one whose client went away is only a request.
package tally

import (
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Counters are cumulative. The zero value counts from nothing.
type Counters struct {
	requests atomic.Uint64
	failed   atomic.Uint64
	retried  atomic.Uint64
	cut      atomic.Uint64
	errors   atomic.Uint64
	ended    atomic.Uint64
	latency  [buckets]atomic.Uint64
}

// buckets is more than resource.LatencyBucket ever answers: its last one is a day's.
const buckets = 1408

// End is how a request ended.
type End int

const (
	Answered  End = iota
	Abandoned     // its client went away
	Failed        // no complete answer, or one that the gateway had to make up
	CutOff        // explained by the end of the instance, or by a drain's time-out
	Ended         // a stream that had its whole drain time and was closed in order
)

// Request is what is to be counted of one request.
type Request struct {
	End     End
	Status  int
	Retried bool
	// Latency is not counted when it is 0, as of a stream that has no end of its own.
	Latency time.Duration
}

// Add counts a request.
func (c *Counters) Add(r Request) {
	c.requests.Add(1)
	switch r.End {
	case Failed:
		c.failed.Add(1)
	case CutOff:
		c.cut.Add(1)
	case Ended:
		c.ended.Add(1)
	case Answered:
		if r.Status >= 500 {
			c.errors.Add(1)
		}
		if r.Retried {
			c.retried.Add(1)
		}
		if r.Latency > 0 {
			c.latency[min(resource.LatencyBucket(r.Latency), buckets-1)].Add(1)
		}
	}
}

// Requests is how many were counted.
func (c *Counters) Requests() uint64 { return c.requests.Load() }

// Read copies the counters. They are read one by one: a request that is being
// counted meanwhile may be in some and not in others.
func (c *Counters) Read() resource.Counters {
	r := resource.Counters{
		Requests: c.requests.Load(),
		Failed:   c.failed.Load(),
		Retried:  c.retried.Load(),
		Cut:      c.cut.Load(),
		Errors:   c.errors.Load(),
		Ended:    c.ended.Load(),
	}
	for i := range c.latency {
		if n := c.latency[i].Load(); n > 0 {
			if r.Latency == nil {
				r.Latency = map[int]uint64{}
			}
			r.Latency[i] = n
		}
	}
	return r
}

// Include adds what another process counted. Nobody reads meanwhile.
func (c *Counters) Include(r resource.Counters) {
	c.requests.Add(r.Requests)
	c.failed.Add(r.Failed)
	c.retried.Add(r.Retried)
	c.cut.Add(r.Cut)
	c.errors.Add(r.Errors)
	c.ended.Add(r.Ended)
	for bucket, n := range r.Latency {
		if 0 <= bucket && bucket < buckets {
			c.latency[bucket].Add(n)
		}
	}
}
