package control_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// What was counted goes on, over the lives of the gateways and of control processes.
func TestFiguresGoOnOverAReplacement(t *testing.T) {
	s := newSite(t)
	s.set("hello")
	s.balancer("front", "hello", func(b *resource.LoadBalancerSpec) { b.Limits.MaxConnectionsPerClient = 5 })
	held := newSlow()
	w := s.workload(held)
	s.applied(s.instance("hello_1", "1.0.0", w.address, resource.AdmissionInService))
	c, url := s.client(), s.url("front")
	first := s.figures("hello")
	counts := func(what string, want uint64) {
		t.Helper()
		s.until(what, func() bool {
			f, ok := s.Figures("hello")
			return ok && f.ByVersion["1.0.0"].Requests == want && f.Incarnation == first.Incarnation
		})
	}
	s.crowd(strings.TrimPrefix(url, "http://"), 5)
	stop := s.monotonic("hello", "1.0.0")
	answered := uint64(0)
	for range 2 {
		keeps := make(chan error, 1) // the gateway that leaves
		go func() {
			resp, err := c.Get(url)
			if err == nil {
				err = resp.Body.Close()
			}
			keeps <- err
		}()
		<-held.asked
		for range 10 {
			get(t, c, url+"/quick")
		}
		s.replace()
		get(t, c, url+"/quick")
		answered += 11
		counts("both gateways' counts add up", answered)
		held.answer <- struct{}{}
		if err := <-keeps; err != nil {
			t.Error(err)
		}
		answered++
		counts("the last one is counted", answered)
		s.finished()
	}
	stop()
	s.stopControl()
	s.startControl()
	counts("the next control process is told all", answered)
	b := s.Balancers()[0]
	if b.Counters.Requests != answered || b.Refused == 0 {
		t.Errorf("of the balancer %d requests are known, %d refused", b.Counters.Requests, b.Refused)
	}
}

// crowd opens one connection more than one client may have, and waits until that is known.
func (s *site) crowd(address string, limit int) {
	s.t.Helper()
	for range limit + 1 {
		if c, err := net.Dial("tcp", address); err == nil {
			defer c.Close()
		}
	}
	s.until("a connection was refused", func() bool {
		list := s.Balancers()
		return len(list) == 1 && list[0].Refused > 0
	})
}

// figures waits until they are known.
func (s *site) figures(set string) (f control.Figures) {
	s.t.Helper()
	s.until("figures are known", func() (ok bool) { f, ok = s.Figures(set); return ok })
	return f
}

// monotonic watches a set's figures until the returned function is called.
func (s *site) monotonic(set, version string) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	c := s.Control
	wg.Go(func() {
		var last control.Figures
		var balancers []wire.BalancerFacts
		for ctx.Err() == nil {
			f, ok := c.Figures(set)
			balancers = s.notLess(balancers, c.Balancers())
			if ok && last.Incarnation == f.Incarnation {
				was, is := last.ByVersion[version], f.ByVersion[version]
				if is.Requests < was.Requests || len(is.Latency) < len(was.Latency) {
					s.t.Errorf("%d requests, then %d", was.Requests, is.Requests)
				}
			}
			if ok {
				last = f
			}
			<-time.After(time.Millisecond)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// notLess checks that nothing that is counted of a balancer has become less.
func (s *site) notLess(was, is []wire.BalancerFacts) []wire.BalancerFacts {
	for _, b := range is {
		for _, before := range was {
			if b.Name == before.Name && (b.Counters.Requests < before.Counters.Requests || b.Refused < before.Refused || b.LogDropped < before.LogDropped) {
				s.t.Errorf("%+v, then %+v", before, b)
			}
		}
	}
	if is == nil {
		return was
	}
	return is
}

// A gateway that leaves and is killed takes its counts along: no difference from
// what was counted before means anything then.
func TestFiguresBeginAnewWhenTheGatewayThatLeavesIsKilled(t *testing.T) {
	s := newSite(t)
	s.set("hello")
	s.balancer("front", "hello")
	held := newSlow()
	w := s.workload(held)
	s.applied(s.instance("hello_1", "1.0.0", w.address, resource.AdmissionInService))
	c := dialKept(t, strings.TrimPrefix(s.url("front"), "http://"))
	go c.ask()
	<-held.asked
	defer close(held.answer)
	before := s.figures("hello")
	leaves, _ := s.replace()
	s.until("both are asked", func() bool { f, ok := s.Figures("hello"); return ok && f.Incarnation == before.Incarnation })
	if err := syscall.Kill(leaves, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.until("another count begins", func() bool { f, ok := s.Figures("hello"); return ok && f.Incarnation != before.Incarnation })
	s.applied(s.admit(map[string]resource.Admission{"hello_1": resource.AdmissionOut}))
}
