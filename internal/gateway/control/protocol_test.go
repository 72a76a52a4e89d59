package control_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// A balancer whose document changes its protocol to and fro serves every request and
// every connection meanwhile, and lets those that were open have their drain time.
func TestTheProtocolChangesUnderLoad(t *testing.T) {
	s := newSite(t)
	w := s.workload(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			time.Sleep(100 * time.Millisecond)
		}
		fmt.Fprint(w, "hello")
	}))
	s.set("hello")
	speaks := func(protocol string) int64 {
		return s.balancer("front", "hello", func(spec *resource.LoadBalancerSpec) {
			spec.Protocol, spec.DrainTimeout = protocol, resource.Duration(2*time.Second)
		})
	}
	speaks(resource.ProtocolHTTP)
	s.applied(s.instance("hello_0", "1.0.0", w.address, resource.AdmissionInService))
	url := s.url("front")

	var answered atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i := range 8 {
		fresh := i%2 == 0 // a connection for each request, or one that is kept
		c := s.client()
		c.Transport.(*http.Transport).DisableKeepAlives = fresh
		path := []string{"/", "/slow"}[i/2%2]
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := c.Get(url + path)
				if err != nil {
					t.Errorf("%s, a connection for each: %v: %v", path, fresh, err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK || string(body) != "hello" {
					t.Errorf("%s: %s %q, %v", path, resp.Status, body, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	for _, protocol := range []string{"tcp", "http", "tcp", "http", "tcp"} {
		before := answered.Load()
		s.applied(speaks(protocol))
		s.until("it is asked after the change", func() bool { return answered.Load() > before+20 })
	}
	// One that nobody looks into lives on when the listener becomes HTTP's again.
	open := s.rawConnection(url)
	s.applied(speaks(resource.ProtocolHTTP))
	for range 3 {
		open("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	close(stop)
	load.Wait()
	if n := s.counted("front"); n.Failed > 0 { // what a drain's end left unanswered was sent again by its client
		t.Errorf("counted %+v", n)
	}
}

// rawConnection returns what sends a request on one connection and reads its answer.
func (s *site) rawConnection(url string) (ask func(request string)) {
	s.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(c)
	ask = func(request string) {
		s.t.Helper()
		if _, err := io.WriteString(c, request); err != nil {
			s.t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	return ask
}

func (s *site) counted(balancer string) resource.Counters {
	s.t.Helper()
	for _, b := range s.Balancers() {
		if b.Name == balancer {
			return b.Counters
		}
	}
	s.t.Fatalf("nothing is known of %s", balancer)
	return resource.Counters{}
}
