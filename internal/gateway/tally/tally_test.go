package tally

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droverhq/drover/internal/resource"
)

func TestEachRequestIsCountedAsOneThing(t *testing.T) {
	bucket := resource.LatencyBucket(time.Millisecond)
	cases := []struct {
		name string
		r    Request
		want resource.Counters
	}{
		{"answered", Request{Status: 200, Latency: time.Millisecond}, resource.Counters{Latency: map[int]uint64{bucket: 1}}},
		{"answered elsewhere", Request{Status: 200, Retried: true}, resource.Counters{Retried: 1}},
		{"an error of the workload", Request{Status: http.StatusBadGateway}, resource.Counters{Errors: 1}},
		{"abandoned", Request{End: Abandoned, Status: 500}, resource.Counters{}},
		{"failed", Request{End: Failed, Retried: true}, resource.Counters{Failed: 1}},
		{"cut", Request{End: CutOff, Status: 200}, resource.Counters{Cut: 1}},
		{"ended", Request{End: Ended, Status: 101}, resource.Counters{Ended: 1}},
		{"endless", Request{Status: 200, Latency: 1 << 62}, resource.Counters{Latency: map[int]uint64{resource.LatencyBucket(1 << 62): 1}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var n Counters
			n.Add(c.r)
			c.want.Requests = 1
			if diff := cmp.Diff(c.want, n.Read()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
