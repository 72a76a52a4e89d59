package imds

import (
	"fmt"
	"testing"
	"time"
)

// TestLimiterForgets: what is kept of instances that are gone is bounded, and
// forgetting gives nobody a request more.
func TestLimiterForgets(t *testing.T) {
	l, now := newLimiter(5), time.Now()
	for i := range 100_000 {
		l.take(fmt.Sprint(i), now)
		now = now.Add(time.Millisecond)
		if n := len(l.buckets); n > 2*minSweep {
			t.Fatalf("%d buckets after %d instances", n, i+1)
		}
	}
	for range 5 {
		l.take("busy", now)
	}
	for i := range 3 * minSweep {
		l.take(fmt.Sprint("at once ", i), now)
	}
	if l.take("busy", now) == 0 {
		t.Fatal("a sweep filled the bucket of a busy instance")
	}
}
