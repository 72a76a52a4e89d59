package control_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/internal/resource"
)

// A drain over two balancers ends when both have ended, and only a set's last
// balancer frees its instances from waiting.
func TestADrainIsOverAllBalancers(t *testing.T) {
	s := newSite(t)
	in, release := make(chan struct{}), make(chan struct{})
	w := s.workload(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			in <- struct{}{}
			<-release
		}
	}))
	s.set("hello")
	s.balancer("one", "hello")
	s.balancer("two", "hello")
	s.applied(s.instance("hello_0", "1.0.0", w.address, resource.AdmissionInService))
	done := make(chan int, 2)
	for _, name := range []string{"one", "two"} {
		url := s.url(name) + "/slow"
		c := s.client()
		go func() {
			resp, err := c.Get(url)
			if err != nil {
				done <- 0
				return
			}
			resp.Body.Close()
			done <- resp.StatusCode
		}()
	}
	<-in
	<-in // both are in flight
	s.applied(s.admit(map[string]resource.Admission{"hello_0": resource.AdmissionDraining}))
	s.until("it drains", func() bool {
		d, ok := s.Drain("hello_0")
		return ok && d.InFlightAtStart == 2 && d.InFlight == 2 && d.Ended == ""
	})
	release <- struct{}{}
	s.until("one has ended", func() bool { d, _ := s.Drain("hello_0"); return d.InFlight == 1 && d.Ended == "" })
	release <- struct{}{}
	s.until("both have", func() bool {
		d, _ := s.Drain("hello_0")
		return d.Ended == resource.DrainIdle && d.InFlightAtStart == 2
	})
	for range 2 {
		if status := <-done; status != 200 {
			t.Errorf("got %d", status)
		}
	}
}

func TestADrainWithoutABalancerIsIdleAtOnce(t *testing.T) {
	s := newSite(t)
	s.set("hello")
	s.instance("hello_0", "1.0.0", "", resource.AdmissionInService)
	s.applied(s.admit(map[string]resource.Admission{"hello_0": resource.AdmissionDraining}))
	s.until("it is idle", func() bool { d, ok := s.Drain("hello_0"); return ok && d.Ended == resource.DrainIdle })
}

func TestADrainAtItsTimeOutEndsAWebSocketInOrder(t *testing.T) {
	s := newSite(t)
	w := s.workload(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		_, _, _ = c.Read(r.Context())
	}))
	s.set("hello")
	s.balancer("front", "hello", func(b *resource.LoadBalancerSpec) { b.DrainTimeout = resource.Duration(200 * time.Millisecond) })
	s.applied(s.instance("hello_0", "1.0.0", w.address, resource.AdmissionInService))
	c, _, err := websocket.Dial(t.Context(), s.url("front"), &websocket.DialOptions{HTTPClient: s.client()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	s.admit(map[string]resource.Admission{"hello_0": resource.AdmissionDraining})
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("got %v", err)
	}
	s.until("the drain has ended", func() bool {
		d, ok := s.Drain("hello_0")
		return ok && d.Ended == resource.DrainTimeout && d.InFlightAtStart == 1
	})
	s.until("it is counted as ended", func() bool {
		f, _ := s.Figures("hello")
		v := f.ByVersion["1.0.0"]
		return v.Ended == 1 && v.Failed+v.Cut == 0
	})
}

// Back and forth: what an earlier drain ended with is not what a new one is at.
func TestADrainThatIsTakenBackAndBegunAgain(t *testing.T) {
	s := newSite(t)
	in, release := make(chan struct{}), make(chan struct{})
	w := s.workload(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in <- struct{}{}
		<-release
	}))
	s.set("hello")
	s.balancer("front", "hello")
	s.applied(s.instance("hello_0", "1.0.0", w.address, resource.AdmissionInService))
	s.applied(s.admit(map[string]resource.Admission{"hello_0": resource.AdmissionDraining}))
	s.until("the first is idle", func() bool { d, ok := s.Drain("hello_0"); return ok && d.Ended == resource.DrainIdle })
	s.applied(s.admit(map[string]resource.Admission{"hello_0": resource.AdmissionInService}))
	url, c := s.url("front"), s.client()
	done := make(chan error, 1)
	go func() {
		resp, err := c.Get(url)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	<-in
	s.applied(s.admit(map[string]resource.Admission{"hello_0": resource.AdmissionDraining}))
	for range 100 {
		if d, ok := s.Drain("hello_0"); ok && d.Ended != "" {
			t.Fatalf("the second drain says %s while a request is in flight", dump(d))
		}
		<-time.After(time.Millisecond)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.until("the second is idle", func() bool {
		d, ok := s.Drain("hello_0")
		return ok && d.Ended == resource.DrainIdle && d.InFlightAtStart == 1
	})
}
