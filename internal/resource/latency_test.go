package resource

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLatencyBucketsAreNarrowAndOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(int64(latencyFirst), int64(latencyLast)).Draw(t, "d")) >> rapid.IntRange(0, 20).Draw(t, "shift")
		d = max(d, latencyFirst)
		b := LatencyBucket(d)
		if LatencyBucket(d+1) < b {
			t.Fatalf("%d is in bucket %d, one more in %d", d, b, LatencyBucket(d+1))
		}
		exact := float64(d) / 1e6
		if middle := latencyMiddle(b); math.Abs(middle-exact) > exact*0.025 {
			t.Fatalf("%v is reported as %v ms", d, middle)
		}
	})
}

func TestLatencyQuantile(t *testing.T) {
	uniform := map[int]uint64{}
	for ms := range 1000 {
		uniform[LatencyBucket(time.Duration(ms+1)*time.Millisecond)]++
	}
	slowTail := map[int]uint64{LatencyBucket(time.Millisecond): 990, LatencyBucket(time.Second): 10}
	for _, c := range []struct {
		name    string
		buckets map[int]uint64
		q, want float64
	}{
		{"nothing", nil, 0.5, 0},
		{"zeroes", map[int]uint64{400: 0}, 0.99, 0},
		{"one", map[int]uint64{LatencyBucket(20 * time.Millisecond): 1}, 0.5, 20},
		{"median", uniform, 0.5, 500},
		{"p99", uniform, 0.99, 990},
		{"all", uniform, 1, 1000},
		{"none", uniform, 0, 1},
		{"before the tail", slowTail, 0.99, 1},
		{"in the tail", slowTail, 0.991, 1000},
		{"shorter than counted", map[int]uint64{LatencyBucket(-1): 1}, 0.5, 0.001},
		{"longer than counted", map[int]uint64{LatencyBucket(1000 * time.Hour): 1}, 0.5, 24 * 3600 * 1000},
		{"numbers never given", map[int]uint64{-5: 1, 1 << 40: 3}, 0.5, 24 * 3600 * 1000},
	} {
		if got := LatencyQuantile(c.buckets, c.q); math.Abs(got-c.want) > c.want*0.025 {
			t.Errorf("%s: %v ms, want %v", c.name, got, c.want)
		}
	}
}

// Figures are stored: a bucket's number must mean the same in every version of Drover.
func TestLatencyNumberingIsPinned(t *testing.T) {
	for d, want := range map[time.Duration]int{
		0: 190, time.Microsecond: 190, time.Millisecond: 509, time.Second: 827, time.Minute: 1015, 24 * time.Hour: 1351,
	} {
		if got := LatencyBucket(d); got != want {
			t.Errorf("%v is in bucket %d, want %d", d, got, want)
		}
	}
}

// Every bucket that there is lies where its middle says, to within 2 %.
func TestLatencyHistogram(t *testing.T) {
	for _, d := range []time.Duration{time.Microsecond, 999 * time.Microsecond, time.Millisecond, 17 * time.Millisecond, 3 * time.Second, time.Hour} {
		seconds := d.Seconds()
		bounds := []float64{seconds * .98, seconds * 1.02}
		atMost, count, sum := LatencyHistogram(map[int]uint64{LatencyBucket(d): 7}, bounds)
		if count != 7 || atMost[bounds[0]] != 0 || atMost[bounds[1]] != 7 || sum < 7*bounds[0] || sum > 7*bounds[1] {
			t.Errorf("%s: %v of %d, together %v", d, atMost, count, sum)
		}
	}
	if atMost, count, sum := LatencyHistogram(nil, []float64{1}); len(atMost) != 1 || count != 0 || sum != 0 {
		t.Errorf("of nothing: %v, %d, %v", atMost, count, sum)
	}
}
