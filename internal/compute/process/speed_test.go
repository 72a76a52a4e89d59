package process

import (
	"testing"
	"time"

	"github.com/droverhq/drover/internal/compute/computetest"
)

// BenchmarkStart starts and stops one instance after another of a cached image.
func BenchmarkStart(b *testing.B) {
	w := computetest.NewWorld(b, subject())
	for b.Loop() {
		spec := w.Spec()
		if _, err := w.Driver.Start(b.Context(), spec); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStart50 reports the time of the 5th and of the 50th of fifty starts.
func BenchmarkStart50(b *testing.B) {
	for b.Loop() {
		w := computetest.NewWorld(b, subject())
		var took [50]time.Duration
		for i := range took {
			spec, begin := w.Spec(), time.Now()
			if _, err := w.Driver.Start(b.Context(), spec); err != nil {
				b.Fatal(err)
			}
			took[i] = time.Since(begin)
		}
		mean := func(list []time.Duration) (ms float64) {
			for _, d := range list {
				ms += float64(d.Microseconds()) / 1000 / float64(len(list))
			}
			return ms
		}
		b.ReportMetric(mean(took[4:10]), "ms/5th-10th")
		b.ReportMetric(mean(took[44:]), "ms/45th-50th")
	}
}
