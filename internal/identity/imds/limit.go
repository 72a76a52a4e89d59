package imds

import (
	"math"
	"sync"
	"time"
)

// limiter is a token bucket for every instance, each as deep as a second's worth.
type limiter struct {
	rate, burst float64

	mu      sync.Mutex
	buckets map[string]bucket
	sweepAt int // how many buckets there are when the full ones are dropped
}

type bucket struct {
	tokens float64
	at     time.Time
}

const minSweep = 1024

func newLimiter(rate float64) *limiter {
	return &limiter{rate: rate, burst: max(1, rate), buckets: map[string]bucket{}, sweepAt: minSweep}
}

// take counts one request. A wait above zero: it is one too many until then.
func (l *limiter) take(name string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.buckets[name]
	if !known {
		l.sweep(now)
		b = bucket{tokens: l.burst, at: now}
	}
	b = bucket{tokens: l.tokens(b, now), at: now}
	if b.tokens >= 1 {
		b.tokens--
	} else {
		wait = time.Duration(math.Ceil((1 - b.tokens) / l.rate * float64(time.Second)))
	}
	l.buckets[name] = b
	return wait
}

func (l *limiter) tokens(b bucket, now time.Time) float64 {
	return min(l.burst, b.tokens+max(0, now.Sub(b.at).Seconds())*l.rate)
}

// sweep forgets who has not asked for a while: instances come and go, and a full
// bucket is what a new one has. Each sweep is paid for by the buckets added since
// the last.
func (l *limiter) sweep(now time.Time) {
	if len(l.buckets) < l.sweepAt {
		return
	}
	for name, b := range l.buckets {
		if l.tokens(b, now) >= l.burst {
			delete(l.buckets, name)
		}
	}
	l.sweepAt = max(minSweep, 2*len(l.buckets))
}
