package control_test

import (
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

func TestTrafficFollowsTheDocuments(t *testing.T) {
	s := newSite(t)
	c := s.client()
	s.set("hello")
	s.balancer("front", "hello")
	blue, green := s.workload(says("blue")), s.workload(says("green"))
	s.instance("hello_1", "1.0.0", blue.address, resource.AdmissionInService)
	rev := s.instance("hello_2", "2.0.0", green.address, resource.AdmissionOut)
	s.applied(rev)

	url := s.url("front")
	if status, body := get(t, c, url+"/"); status != 200 || body != "blue" {
		t.Fatalf("got %d %q, want blue", status, body)
	}
	s.until("both are probed", func() bool {
		a, _ := s.Probe("hello_1")
		b, _ := s.Probe("hello_2")
		return a.Successes > 0 && b.Successes > 0
	})
	rev = s.admit(map[string]resource.Admission{"hello_2": resource.AdmissionInService, "hello_1": resource.AdmissionDraining})
	s.applied(rev)
	if status, body := get(t, c, url+"/"); status != 200 || body != "green" {
		t.Fatalf("got %d %q, want green", status, body)
	}
	s.until("the drain ended", func() bool {
		d, ok := s.Drain("hello_1")
		return ok && d.Ended == resource.DrainIdle
	})
	s.until("both versions are counted", func() bool {
		f, ok := s.Figures("hello")
		return ok && f.ByVersion["1.0.0"].Requests == 1 && f.ByVersion["2.0.0"].Requests == 1
	})
}
