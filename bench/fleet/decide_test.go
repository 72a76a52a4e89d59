package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/fleet"
	"github.com/droverhq/drover/internal/resource"
)

// BenchmarkDecide decides about a set of n healthy instances with nothing to do,
// which is what happens at every change of one of them.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprintf("instances=%d", n), func(b *testing.B) {
			v := steady(n)
			if p := fleet.Decide(v); len(p.Create)+len(p.Change) != 0 {
				b.Fatalf("%d to create, %d to change: the set is not steady", len(p.Create), len(p.Change))
			}
			b.ReportAllocs()
			for b.Loop() {
				fleet.Decide(v)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/instance")
		})
	}
}

// steady is a set that has all it wants.
func steady(n int) fleet.View {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	model := resource.Model{Image: "web:1.0.0", Version: "1.0.0", Digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
	v := fleet.View{Now: now}
	v.Set.Kind, v.Set.Name = resource.KindScaleSet, "web"
	v.Set.Spec.Image, v.Set.Spec.Capacity = "web:1.0.0", n
	v.Set.Status.Colour, v.Set.Status.Model, v.Set.Status.NextInstance = resource.Blue, &model, n
	for i := range n {
		var in resource.Instance
		in.Kind, in.Name = resource.KindInstance, resource.InstanceName("web", i)
		in.Status = resource.InstanceStatus{
			Set: "web", Colour: resource.Blue, Model: model, Version: "1.0.0",
			Health: resource.HealthHealthy, HealthySince: new(now.Add(-time.Hour)), Admission: resource.AdmissionInService,
			Goal: resource.GoalRun, Phase: resource.InstanceRunning, Address: "127.0.0.1:20000",
		}
		v.Instances = append(v.Instances, in)
	}
	return v
}
