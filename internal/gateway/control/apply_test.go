package control_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

func condition(b resource.LoadBalancer, typ string) resource.Condition {
	if c := resource.FindCondition(b.Status.Conditions, typ); c != nil {
		return *c
	}
	return resource.Condition{}
}

func listensOn(address string) func(*resource.LoadBalancerSpec) {
	return func(b *resource.LoadBalancerSpec) { b.Listen = address }
}

func TestABalancerThatCannotListenHindersNoOther(t *testing.T) {
	s := newSite(t)
	c := s.client()
	address := s.serving("hello", "front", 1)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	s.balancer("second", "hello", listensOn(taken.Addr().String()))
	other := s.workload(says("other"))
	s.set("other")
	s.instance("other_0", "1.0.0", other.address, resource.AdmissionInService)
	// Its new address is taken: nothing of it changes, its backend neither.
	rev := s.balancer("front", "other", listensOn(taken.Addr().String()))
	s.applied(rev)

	s.until("both say so", func() bool {
		for _, name := range []string{"front", "second"} {
			b := s.lb(name)
			if l := condition(b, resource.ConditionListening); l.Status || l.Reason != "AddressInUse" {
				return false
			}
			if !condition(b, resource.ConditionNotApplied).Status {
				return false
			}
		}
		return true
	})
	if got := s.lb("front").Status.Address; got != address {
		t.Errorf("front says that it listens on %s, not %s", got, address)
	}
	if _, body := get(t, c, "http://"+address); body != "0" {
		t.Errorf("front changed its backend alone: %q", body)
	}
	// That holds also for the next gateway, and for the next control process.
	s.stopControl()
	s.startControl()
	s.until("it answers", func() bool { _, ok := s.Figures("hello"); return ok })
	if _, body := get(t, c, "http://"+address); body != "0" {
		t.Errorf("after a restart of the control process: %q", body)
	}

	taken.Close()
	s.until("one of them got the address", func() bool {
		for _, name := range []string{"front", "second"} {
			if s.lb(name).Status.Address == taken.Addr().String() {
				_, body := get(t, c, "http://"+taken.Addr().String())
				return body == "other" || body == "0"
			}
		}
		return false
	})
}

func TestTheAPIsPortIsNoBalancersAtAnyAddress(t *testing.T) {
	s := newSite(t)
	s.stopControl()
	s.startControlWith(func(c *control.Control) (net.Listener, error) { return c.Listener(t.Context(), "api", "127.0.0.1:0") })
	defer s.listener.Close()
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.set("hello")
	s.balancer("front", "hello", listensOn(net.JoinHostPort("127.0.0.2", port)))
	s.until("it is refused", func() bool {
		l := condition(s.lb("front"), resource.ConditionListening)
		return !l.Status && l.Reason == "Reserved"
	})
	if c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.2", port)); err == nil {
		c.Close()
		t.Error("something listens there all the same")
	}
	s.balancer("front", "hello")
	s.url("front")
}

func TestABackendMayNotBeDroversOwn(t *testing.T) {
	s := newSite(t)
	front := s.serving("hello", "front", 1)
	rev := s.balancer("loop", "", func(b *resource.LoadBalancerSpec) {
		b.Backend = &resource.Backend{Addresses: []string{front}}
	})
	s.applied(rev)
	s.until("it is refused", func() bool { return condition(s.lb("loop"), resource.ConditionNotApplied).Status })
	if a := s.lb("loop").Status.Address; a != "" {
		t.Errorf("it listens on %s all the same", a)
	}
	w := s.workload(says("outside"))
	s.balancer("loop", "", func(b *resource.LoadBalancerSpec) {
		b.Backend = &resource.Backend{Addresses: []string{w.address}}
	})
	url := s.url("loop")
	s.until("the condition is gone", func() bool {
		b := s.lb("loop")
		return !condition(b, resource.ConditionNotApplied).Status && condition(b, resource.ConditionListening).Status
	})
	if _, body := get(t, s.client(), url); body != "outside" {
		t.Errorf("got %q", body)
	}
}

// Removing a balancer frees its address before the revision counts as applied;
// moving it leaves connections in order.
func TestARemovedBalancerFreesItsAddress(t *testing.T) {
	s := newSite(t)
	address := s.serving("hello", "front", 1)
	c := s.client()
	get(t, c, "http://"+address) // an idle connection, which hinders nothing
	s.applied(s.update(func(tx *store.Tx) error { return tx.Delete(resource.KindLoadBalancer, "front") }))
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("the address of a removed balancer: %v", err)
	}
	l.Close()
}

func TestIdenticalProbesShareOneProber(t *testing.T) {
	s := newSite(t)
	var probes atomic.Int64
	w := s.workload(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			probes.Add(1)
		}
	}))
	const interval = 100 * time.Millisecond
	s.set("hello", func(spec *resource.ScaleSetSpec) {
		spec.Health.Path = "/healthz"
		spec.Health.Interval = resource.Duration(interval)
	})
	for _, name := range []string{"one", "two", "three"} {
		s.balancer(name, "hello", func(b *resource.LoadBalancerSpec) {
			b.Probe = &resource.Probe{
				Path: "/healthz", Interval: resource.Duration(interval), Timeout: resource.Duration(time.Second),
				UnhealthyThreshold: 2, HealthyThreshold: 1, // other thresholds than the set's
			}
		})
	}
	s.applied(s.instance("hello_0", "1.0.0", w.address, resource.AdmissionInService))
	s.until("it is probed", func() bool { p, ok := s.Probe("hello_0"); return ok && p.Successes > 0 })
	for _, name := range []string{"one", "two", "three"} {
		if status, _ := get(t, s.client(), s.url(name)); status != 200 {
			t.Errorf("%s answers %d", name, status)
		}
	}
	began, before := time.Now(), probes.Load()
	s.until("some time has passed", func() bool { return probes.Load() >= before+10 })
	if elapsed := time.Since(began); elapsed < 8*interval {
		t.Errorf("10 probes came within %s: more than one prober asks every %s", elapsed, interval)
	}
}

func TestABalancersOwnProbeAdmitsThereOnly(t *testing.T) {
	s := newSite(t)
	w := s.workload(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/strict" {
			w.WriteHeader(500)
		}
	}))
	s.set("hello", func(spec *resource.ScaleSetSpec) { spec.Health.Path = "/healthz" })
	s.balancer("lenient", "hello")
	s.balancer("strict", "hello", func(b *resource.LoadBalancerSpec) {
		b.QueueTimeout = resource.Duration(50 * time.Millisecond)
		b.Probe = &resource.Probe{
			Path: "/strict", Interval: resource.Duration(time.Second), Timeout: resource.Duration(time.Second),
			UnhealthyThreshold: 1, HealthyThreshold: 1,
		}
	})
	s.applied(s.instance("hello_0", "1.0.0", w.address, resource.AdmissionInService))
	c := s.client()
	if status, _ := get(t, c, s.url("lenient")); status != 200 {
		t.Errorf("without a probe of its own: %d", status)
	}
	if status, _ := get(t, c, s.url("strict")); status != 503 {
		t.Errorf("with a probe that fails: %d", status)
	}
	p, ok := s.Probe("hello_0")
	if !ok || p.Successes == 0 {
		t.Errorf("the set's health is not the balancer's matter: %s", dump(p))
	}
}

// A gateway of another version is not spoken to, but what it holds is taken over.
func TestAGatewayOfAnotherProtocolIsReplaced(t *testing.T) {
	s := newSite(t)
	address := s.serving("hello", "front", 1)
	s.stopControl()
	if err := control.StopGateway(t.Context(), s.dir); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	elder := s.elderGateway(wire.Socket{Name: "balancer/front@127.0.0.1:0", Address: address}, l.(*net.TCPListener))
	waiting, err := net.Dial("tcp", address) // is served by the successor
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	s.startControl()
	if err := ask(waiting); err != nil {
		t.Errorf("a connection that was not accepted by the elder: %v", err)
	}
	select {
	case <-elder:
	case <-time.After(patience):
		t.Error("the elder was not told to stop")
	}
	if got := s.lb("front").Status.Address; got != address {
		t.Errorf("the balancer moved to %s", got)
	}
}

// elderGateway answers as a gateway of protocol 0 would: Hello, Attach and Stop.
func (s *site) elderGateway(held wire.Socket, l *net.TCPListener) (stopped <-chan struct{}) {
	return s.otherGateway(0, held, l, func(string, json.RawMessage) error { return errors.New("unknown call") })
}

// otherGateway answers as a gateway of another protocol would. It ends with Stop, or
// when the function that answers all other calls returns nil.
func (s *site) otherGateway(protocol int, held wire.Socket, l *net.TCPListener, other func(op string, body json.RawMessage) error) (stopped <-chan struct{}) {
	s.t.Helper()
	run := filepath.Join(s.dir, "run")
	id, err := wire.Self()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := wire.Serving.Record(run, id); err != nil {
		s.t.Fatal(err)
	}
	file, err := l.File()
	if err != nil {
		s.t.Fatal(err)
	}
	sock, err := net.ListenUnix("unix", &net.UnixAddr{Name: wire.Serving.SocketPath(run), Net: "unix"})
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := sock.AcceptUnix()
		if err != nil {
			return
		}
		defer c.Close()
		_ = wire.NewConn(c).Serve(func(op string, body json.RawMessage, _ []*os.File) (any, []*os.File, error) {
			switch op {
			case wire.OpHello:
				return wire.Hello{Protocol: protocol, Version: "other", Identity: id}, nil, nil
			case wire.OpAttach:
				return wire.Attached{Epoch: 1, Applied: wire.Snapshot{Generation: 7}, Sockets: []wire.Socket{held}}, []*os.File{file}, nil
			case wire.OpStop:
			default:
				if err := other(op, body); err != nil {
					return nil, nil, fmt.Errorf("a gateway of protocol %d was asked to %s: %w", protocol, op, err)
				}
			}
			_, _, _ = file.Close(), l.Close(), sock.Close()
			return struct{}{}, nil, nil
		})
	}()
	return done
}
