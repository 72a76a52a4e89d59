package resource

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"time"
)

// A bucket holds 1/32 of an octave of nanoseconds or less: at most 3.1 % wide.
// Figures are stored, so the numbering never changes.
const (
	latencyBits  = 5
	latencyFirst = time.Microsecond // shorter answers count as this
	latencyLast  = 24 * time.Hour   // longer ones as this, which bounds how many buckets there are
)

// LatencyBucket numbers the bucket that an answer's duration is counted in.
func LatencyBucket(d time.Duration) int {
	v := uint64(min(max(d, latencyFirst), latencyLast))
	shift := bits.Len64(v) - latencyBits - 1
	return shift<<latencyBits + int(v>>shift)
}

// LatencyQuantile is the q-quantile (0…1) in milliseconds of what the buckets
// counted: the middle of its bucket; 0 when nothing was counted.
func LatencyQuantile(buckets map[int]uint64, q float64) (ms float64) {
	var total uint64
	for _, n := range buckets {
		total += n
	}
	if total == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(total))), 1)
	var seen uint64
	var last int
	for _, bucket := range slices.Sorted(maps.Keys(buckets)) {
		if buckets[bucket] == 0 {
			continue
		}
		last = bucket
		if seen += buckets[bucket]; seen >= rank {
			break
		}
	}
	return latencyMiddle(last)
}

// LatencyHistogram is how many of what the buckets counted took at most each of the
// bounds, which are in seconds, how many there are, and what they took together. A
// bucket is where its middle is, so that neither is off by more than 2 %.
func LatencyHistogram(buckets map[int]uint64, bounds []float64) (atMost map[float64]uint64, count uint64, sum float64) {
	atMost = make(map[float64]uint64, len(bounds))
	for _, bound := range bounds {
		atMost[bound] = 0
	}
	for bucket, n := range buckets {
		seconds := latencyMiddle(bucket) / 1000
		count += n
		sum += float64(n) * seconds
		for _, bound := range bounds {
			if seconds <= bound {
				atMost[bound] += n
			}
		}
	}
	return atMost, count, sum
}

func latencyMiddle(bucket int) (ms float64) {
	bucket = min(max(bucket, LatencyBucket(latencyFirst)), LatencyBucket(latencyLast))
	shift := bucket>>latencyBits - 1
	low := uint64(bucket-shift<<latencyBits) << shift
	width := uint64(1) << shift
	return (float64(low) + float64(width)/2) / float64(time.Millisecond)
}
