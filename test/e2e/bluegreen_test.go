package e2e

import (
	"fmt"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

func TestFlipsBackToBackLoseNothing(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 3, bake: "500ms", drain: "1s"}.yaml())
	load := s.startTraffic(s.serving(3))
	for i := range size(5, 20) {
		image := fmt.Sprintf("hello:1.%d.0", i+1)
		s.push(image, sample.Config{})
		rollout := s.roll(image)
		s.endsEitherWay(rollout, func() { s.inService(3) })
		r := s.ends(rollout, resource.RolloutSucceeded)
		if len(r.Status.Report.Drains) != 3 {
			t.Errorf("%s reports %d drains of 3", r.Name, len(r.Status.Report.Drains))
		}
		for _, d := range r.Status.Report.Drains {
			if d.Ended != resource.DrainIdle && d.Ended != resource.DrainTimeout {
				t.Errorf("%s: the drain of %s ended %q", r.Name, d.Instance, d.Ended)
			}
		}
		s.settled(version(image), 3)
		load.reached(version(image))
	}
	load.zeroFailed()
}

// inService checks that at any time as many serve as are wanted, or more.
func (s *server) inService(want int) {
	s.t.Helper()
	n := 0
	for _, in := range s.instances() {
		if in.Status.Admission == resource.AdmissionInService && in.Status.Health == resource.HealthHealthy {
			n++
		}
	}
	if n < want {
		s.t.Errorf("only %d healthy instances are in service of %d", n, want)
	}
}

func TestScalingLosesNothing(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 4, drain: "1s"}.yaml())
	load := s.startTraffic(s.serving(4))
	for _, n := range []int{12, 2} {
		s.mustDrover("scale", "hello", fmt.Sprint(n))
		s.serving(n)
		s.settled("1.0.0", n)
		load.reached("1.0.0")
	}
	load.zeroFailed()
}
