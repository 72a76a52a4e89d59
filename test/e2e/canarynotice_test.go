package e2e

import (
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// A set that shrinks within a canary: those under notice serve on and are part of
// their colour's share, the rollout waits for none of them, and the next one begins
// once the previous colour has had its notice. What goes back is told as well.
func TestCanaryWithNotices(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.push("hello:3.0.0", sample.Config{ErrorEvery: 3})
	p := noticed(3, "PT20S")
	p.keep, p.blueGreen = "1s", ", promotion: Manual, canary: [{percent: 20, hold: 12s}, {percent: 50, hold: 8s}]"
	s.apply(p.yaml())
	load := s.startTraffic(s.serving(3))

	rollout := s.roll("hello:2.0.0")
	s.awaitsPromotion(rollout)
	s.mustDrover("rollout", "promote", "hello")
	s.inCanaryStep(rollout, 0)
	s.mustDrover("scale", "hello", "2")
	s.underNotice("hello_2")
	if n := s.underNotice("hello_5"); n.Status.Admission != resource.AdmissionInService {
		t.Errorf("hello_5 is %s under notice, in the middle of its canary step", n.Status.Admission)
	}
	s.sharing(rollout).is(20, 1000)
	s.inCanaryStep(rollout, 1)
	s.sharing(rollout).is(50, 1000)
	s.ends(rollout, resource.RolloutSucceeded)
	s.gone(time.Minute, "hello_0", "hello_1", "hello_2", "hello_5")
	s.settled("2.0.0", 2)
	load.zeroFailed()

	load = s.startTraffic(s.serving(2))
	rollout = s.roll("hello:3.0.0")
	s.awaitsPromotion(rollout)
	s.mustDrover("rollout", "promote", "hello")
	r := s.ends(rollout, resource.RolloutRolledBack)
	says(t, r.Status.Reason, "version 3.0.0 at 20 %", "maxErrorRate")
	told := 0
	for _, in := range s.instances() {
		if in.Status.Version == "3.0.0" && in.Status.Notice != nil && in.Status.Admission != resource.AdmissionInService {
			told++
		}
	}
	if told != 2 {
		t.Errorf("%d of 2 instances that took traffic are under notice and out of service", told)
	}
	s.settled("2.0.0", 2)
	if lost := load.end(); lost.Failed > 0 {
		t.Errorf("%d of %d requests failed", lost.Failed, lost.Requests)
	}
}
