package compute_test

import (
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// BenchmarkStart50 has fifty instances of a cached image started at once, from
// their documents to the report that all run.
func BenchmarkStart50(b *testing.B) {
	s := newSite(b)
	s.wait(s.create(), "runs", isRunning)
	var total time.Duration
	for b.Loop() {
		begin := time.Now()
		var names []string
		for range 50 {
			names = append(names, s.create())
		}
		for _, name := range names {
			s.wait(name, "runs", isRunning)
		}
		total += time.Since(begin)
		b.StopTimer()
		for _, name := range names {
			s.edit(name, func(st *resource.InstanceStatus) { st.Goal = resource.GoalDelete })
		}
		for _, name := range names {
			s.Until("it is gone", func() bool { _, there := s.status(name); return !there })
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(total.Milliseconds())/float64(b.N)/50, "ms/instance")
}
