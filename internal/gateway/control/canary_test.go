package control_test

import (
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// engine writes what the rollout engine would into a set's status.
func (s *site) engine(name string, change func(*resource.ScaleSetStatus)) int64 {
	s.t.Helper()
	return s.update(func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindScaleSet, name, func(set *resource.ScaleSet) error {
			change(&set.Status)
			return nil
		})
	})
}

func of(c resource.Colour) func(*resource.InstanceStatus) {
	return func(in *resource.InstanceStatus) { in.Colour = c }
}

func (s *site) change(name string, change func(*resource.InstanceStatus)) int64 {
	s.t.Helper()
	return s.update(func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindInstance, name, func(in *resource.Instance) error {
			change(&in.Status)
			return nil
		})
	})
}

// Weights share the requests among colours; two colours of one version are counted
// apart, and together by version.
func TestWeightsShareRequestsAmongColours(t *testing.T) {
	s := newSite(t)
	c := s.client()
	s.set("hello")
	s.balancer("front", "hello")
	blue, green := s.workload(says("blue")), s.workload(says("green"))
	s.instance("hello_0", "1.0.0", blue.address, resource.AdmissionInService, of(resource.Blue))
	s.instance("hello_1", "1.0.0", green.address, resource.AdmissionInService, of(resource.Green))
	url := s.url("front")
	s.applied(s.engine("hello", func(st *resource.ScaleSetStatus) {
		st.Weights = map[resource.Colour]int{resource.Blue: 80, resource.Green: 20}
	}))
	seen := map[string]int{}
	for range 200 {
		_, body := get(t, c, url+"/")
		seen[body]++
	}
	if n := seen["green"]; n < 36 || n > 44 {
		t.Errorf("answered by %v", seen)
	}
	s.until("it is counted", func() bool {
		f, ok := s.Figures("hello")
		return ok && f.Current && !f.At.IsZero() && f.ByVersion["1.0.0"].Requests == 200 &&
			f.ByColour[resource.Green]["1.0.0"].Requests == uint64(seen["green"]) &&
			f.ByColour[resource.Blue]["1.0.0"].Requests == uint64(seen["blue"])
	})
	green.Close()
	for range 50 {
		if status, body := get(t, c, url+"/"); status != 200 || body != "blue" {
			t.Fatalf("got %d %q with the other colour gone", status, body)
		}
	}
}

// A process is asked once, gets nothing else, and again only when it is another
// process or asked for something else.
func TestValidationIsAskedOnce(t *testing.T) {
	s := newSite(t)
	var asked atomic.Int64
	w := s.workload(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/selftest" {
			asked.Add(1)
			http.Redirect(w, r, "/", http.StatusFound)
		}
	}))
	s.set("hello")
	s.applied(s.instance("hello_0", "1.0.0", w.address, resource.AdmissionOut))
	outcome := func(expect int, change func(*resource.InstanceStatus)) string {
		t.Helper()
		s.applied(s.change("hello_0", func(in *resource.InstanceStatus) {
			in.Health, in.Validate = resource.HealthHealthy, &resource.Validation{Path: "/selftest", Expect: expect, Timeout: resource.Duration(5 * time.Second)}
			change(in)
		}))
		var message string
		s.until("it is validated", func() bool {
			v, known := s.Validation("hello_0")
			message = v.Error
			return known
		})
		return message
	}
	same := func(*resource.InstanceStatus) {}
	if got := outcome(200, same); got != "GET /selftest answered 302, not 200" {
		t.Errorf("got %q", got)
	}
	outcome(200, func(in *resource.InstanceStatus) { in.Restarts++ })
	if n := asked.Load(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
	if got := outcome(302, same); got != "" || asked.Load() != 2 {
		t.Errorf("asked for something else, %d times by now: %q", asked.Load(), got)
	}
	started := time.Now().UTC()
	outcome(302, func(in *resource.InstanceStatus) { in.StartedAt = &started })
	s.until("the next process is asked", func() bool {
		v, known := s.Validation("hello_0")
		return known && v.StartedAt.Equal(started) && asked.Load() == 3
	})
}

// A preview reaches the colour that is not in service, and nothing else does; what it
// does is not the version's traffic. Without its port it says so and hinders nobody.
func TestPreview(t *testing.T) {
	s := newSite(t)
	c := s.client()
	s.set("hello")
	s.balancer("front", "hello")
	blue, green := s.workload(says("blue")), s.workload(says("green"))
	s.instance("hello_0", "1.0.0", blue.address, resource.AdmissionInService, of(resource.Blue))
	s.instance("hello_1", "2.0.0", green.address, resource.AdmissionOut, of(resource.Green))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.applied(s.engine("hello", func(st *resource.ScaleSetStatus) {
		st.Preview = &resource.PreviewOf{Preview: resource.Preview{Listen: taken.Addr().String()}, Colour: resource.Green}
	}))
	s.until("it says that it cannot listen", func() bool {
		p, ok := s.Preview("hello")
		return ok && p.Address == "" && strings.HasPrefix(p.Problem, "cannot listen on "+taken.Addr().String())
	})
	url := s.url("front")
	if _, body := get(t, c, url+"/"); body != "blue" {
		t.Errorf("the users' balancer answers %q", body)
	}
	taken.Close()
	var address string
	s.until("it listens, now that the port is free", func() bool {
		p, ok := s.Preview("hello")
		address = p.Address
		return ok && address != "" && p.Problem == ""
	})
	for range 20 {
		if status, body := get(t, c, "http://"+address+"/"); status != 200 || body != "green" {
			t.Fatalf("the preview answers %d %q", status, body)
		}
		if _, body := get(t, c, url+"/"); body != "blue" {
			t.Fatalf("the users' balancer answers %q", body)
		}
	}
	s.until("the users' requests are counted, and no others", func() bool {
		f, ok := s.Figures("hello")
		return ok && f.ByVersion["1.0.0"].Requests == 21
	})
	if f, _ := s.Figures("hello"); f.ByVersion["2.0.0"].Requests != 0 {
		t.Errorf("the preview's requests are counted: %+v", f.ByVersion)
	}
	s.applied(s.engine("hello", func(st *resource.ScaleSetStatus) { st.Preview = nil }))
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("it is still listened on")
	}
	if _, ok := s.Preview("hello"); ok {
		s.until("it is forgotten", func() bool { _, ok := s.Preview("hello"); return !ok })
	}
}

// The outcome goes over to the gateway's successor: who was asked is not asked again.
func TestValidationIsKnownToTheSuccessor(t *testing.T) {
	s := newSite(t)
	var asked atomic.Int64
	w := s.workload(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/selftest" {
			asked.Add(1)
		}
	}))
	s.set("hello")
	s.applied(s.instance("hello_0", "1.0.0", w.address, resource.AdmissionOut, func(in *resource.InstanceStatus) {
		in.Health, in.Validate = resource.HealthHealthy, &resource.Validation{Path: "/selftest", Expect: 200, Timeout: resource.Duration(patience)}
	}))
	var before, after control.Validation
	s.until("it is validated", func() (ok bool) { before, ok = s.Validation("hello_0"); return ok })
	s.replace()
	s.finished()
	s.stopControl() // what it was told before does not count
	s.startControl()
	s.until("the outcome is known", func() (ok bool) { after, ok = s.Validation("hello_0"); return ok })
	if asked.Load() != 1 || !after.At.Equal(before.At) {
		t.Errorf("asked %d times, with %+v and then %+v", asked.Load(), before, after)
	}
}
