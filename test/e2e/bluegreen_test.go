package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

func TestFlipsBackToBackLoseNothing(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 3, bake: "500ms", drain: "1s"}.yaml())
	load := s.startTraffic(s.serving(3))
	for i := range size(5, 20) {
		load.flip(i+1, 3, nil)
		s.noLeaks()
	}
	load.zeroFailed()
}

// flip brings the next version of hello under the load, and watches it. also is done
// again and again meanwhile.
func (tr *traffic) flip(n, capacity int, also func()) {
	tr.t.Helper()
	s, image := tr.s, fmt.Sprintf("hello:1.%d.0", n)
	s.push(image, sample.Config{})
	rollout := s.roll(image)
	s.endsEitherWay(rollout, func() {
		tr.look(capacity)
		if also != nil {
			also()
		}
	})
	r := s.ends(rollout, resource.RolloutSucceeded)
	if len(r.Status.Report.Drains) != capacity {
		tr.t.Errorf("%s reports %d drains of %d", r.Name, len(r.Status.Report.Drains), capacity)
	}
	for _, d := range r.Status.Report.Drains {
		if d.Ended != resource.DrainIdle && d.Ended != resource.DrainTimeout {
			tr.t.Errorf("%s: the drain of %s ended %q", r.Name, d.Instance, d.Ended)
		}
	}
	s.servesVersion(version(image), capacity)
	tr.reached(version(image))
}

// look checks that at any time as many serve as are wanted, or more, and remembers
// which did: their drains begin later.
func (tr *traffic) look(want int) {
	tr.t.Helper()
	began, n := time.Now(), 0
	for _, in := range tr.s.instances() {
		if in.Status.Admission != resource.AdmissionInService {
			continue
		}
		tr.served[in.Name] = began
		if in.Status.Health == resource.HealthHealthy {
			n++
		}
	}
	if n < want {
		tr.t.Errorf("only %d healthy instances are in service of %d", n, want)
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
