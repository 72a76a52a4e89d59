package control_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// keptOpen is a client that sends one request after the other on one connection.
type keptOpen struct {
	net.Conn
	in *bufio.Reader
}

func dialKept(t *testing.T, address string) *keptOpen {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &keptOpen{c, bufio.NewReader(c)}
}

// ask says whether the connection is to be used again.
func (k *keptOpen) ask() (text string, keep bool, err error) {
	_ = k.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprint(k, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return "", false, err
	}
	resp, err := http.ReadResponse(k.in, nil)
	if err != nil {
		return "", false, err
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), !resp.Close, err
}

// replace has the gateway replaced and waits until another one serves and answers.
func (s *site) replace() (before, after int) {
	s.t.Helper()
	before = s.gatewayPID()
	s.Replace()
	s.until("another gateway serves", func() bool {
		id, ok := wire.Serving.Recorded(s.dir + "/run")
		after = id.PID
		return ok && id.PID != before && id.Alive()
	})
	return before, after
}

// ended waits until no gateway leaves any more.
func (s *site) finished() {
	s.t.Helper()
	s.until("the gateway before has ended", func() bool {
		id, ok := wire.Leaving.Recorded(s.dir + "/run")
		return !ok || !id.Alive()
	})
}

func TestAReplacementIsNotSeen(t *testing.T) {
	const replacements = 3
	s := newSite(t)
	address := s.serving("hello", "front", 2, func(b *resource.LoadBalancerSpec) {
		b.Limits.HeaderTimeout = resource.Duration(5 * time.Minute)
	})
	idle := make([]*keptOpen, 300) // more than are given at once
	for i := range idle {
		idle[i] = dialKept(t, address)
		if i%3 > 0 { // the others have not said a word yet
			if _, keep, err := idle[i].ask(); !keep || err != nil {
				t.Fatal(keep, err)
			}
		}
	}
	var l load
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { l.run(ctx, address) })
	}
	for range 4 {
		wg.Go(func() { s.busy(ctx, address) })
	}
	for n := range replacements {
		before := l.answered.Load()
		s.until("load runs", func() bool { return l.answered.Load() > before+100 })
		began := time.Now()
		s.replace()
		took := time.Since(began)
		s.finished()
		t.Logf("replacement %d: %s, and the one before ended after %s", n, took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	}
	if s.free() {
		t.Error("nobody has the lock of the gateway that serves")
	}
	for i, c := range idle {
		if _, keep, err := c.ask(); err != nil || !keep {
			t.Errorf("idle connection %d: kept %v, %v", i, keep, err)
		}
	}
	stop()
	wg.Wait()
	if l.refused.Load()+l.lost.Load() > 0 {
		t.Errorf("%d refused, %d lost", l.refused.Load(), l.lost.Load())
	}
}

// busy asks again and again on one connection, which must not end.
func (s *site) busy(ctx context.Context, address string) {
	c := dialKept(s.t, address)
	for ctx.Err() == nil {
		if _, keep, err := c.ask(); err != nil || !keep {
			s.t.Errorf("a busy connection: kept %v, %v", keep, err)
			return
		}
	}
}

// slow answers when it is told to.
type slow struct {
	asked  chan struct{}
	answer chan struct{}
}

func newSlow() *slow { return &slow{asked: make(chan struct{}, 100), answer: make(chan struct{})} }

func (w *slow) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		w.asked <- struct{}{}
		<-w.answer
	}
	fmt.Fprint(rw, "slow")
}

// A request that the gateway before has holds its instance: no drain ends without it.
func TestADrainIsOfBothGateways(t *testing.T) {
	s := newSite(t)
	c := s.client()
	s.set("hello")
	s.balancer("front", "hello", func(spec *resource.LoadBalancerSpec) { spec.DrainTimeout = resource.Duration(time.Minute) })
	held := newSlow()
	w := s.workload(held)
	s.applied(s.instance("hello_1", "1.0.0", w.address, resource.AdmissionInService))
	url := s.url("front")
	answered := make(chan string, 2)
	ask := func() {
		_, body := get(t, c, url)
		answered <- body
	}
	go ask()
	<-held.asked
	s.replace()
	go ask()
	<-held.asked
	other := s.workload(says("other"))
	rev := s.instance("hello_2", "2.0.0", other.address, resource.AdmissionInService)
	s.applied(rev)
	s.applied(s.admit(map[string]resource.Admission{"hello_1": resource.AdmissionDraining}))
	var d control.DrainState
	s.until("the drain is known", func() (ok bool) { d, ok = s.Drain("hello_1"); return ok })
	if d.InFlightAtStart != 2 || d.InFlight != 2 || d.Ended != "" {
		t.Errorf("the drain is %+v, with a request at each gateway", d)
	}
	held.answer <- struct{}{}
	s.until("one is answered", func() bool { d, ok := s.Drain("hello_1"); return ok && d.InFlight == 1 })
	s.stopControl() // the next one has to find both
	s.startControl()
	s.until("the drain is known", func() (ok bool) { d, ok = s.Drain("hello_1"); return ok })
	if d.InFlightAtStart != 2 || d.Ended != "" {
		t.Errorf("the next control process is told %+v", d)
	}
	held.answer <- struct{}{}
	s.until("the drain has ended", func() bool { d, _ = s.Drain("hello_1"); return d.Ended != "" })
	s.finished()
	s.until("the drain is known", func() (ok bool) { d, ok = s.Drain("hello_1"); return ok })
	if want := (control.DrainState{InFlightAtStart: 2, Ended: resource.DrainIdle}); d != want {
		t.Errorf("afterwards it is %+v, want %+v", d, want)
	}
	for range 2 {
		if body := <-answered; body != "slow" {
			t.Errorf("answered %q", body)
		}
	}
}

// A new program is another file: a control process that would start that one
// replaces the gateway by itself, and no other does.
func TestAnotherProgramReplacesTheGateway(t *testing.T) {
	s := newSite(t)
	address := s.serving("hello", "front", 1)
	idle := dialKept(t, address)
	if _, _, err := idle.ask(); err != nil {
		t.Fatal(err)
	}
	pid := s.gatewayPID()
	s.stopControl()
	s.startControl()
	s.until("it answers for the gateway", func() bool { _, ok := s.Figures("hello"); return ok })
	if now := s.gatewayPID(); now != pid {
		t.Errorf("the same program replaced %d by %d", pid, now)
	}
	s.stopControl()
	s.program = copyOf(t, s.program)
	s.startControl()
	s.until("another gateway serves", func() bool { return s.gatewayPID() != pid })
	if _, keep, err := idle.ask(); err != nil || !keep {
		t.Errorf("the idle connection: kept %v, %v", keep, err)
	}
}

func copyOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

// A gateway that cannot stand by costs nothing, and is tried again.
func TestAReplacementThatFailsLeavesTheGatewayAsItIs(t *testing.T) {
	s := newSite(t)
	address := s.serving("hello", "front", 1)
	c := dialKept(t, address)
	pid := s.gatewayPID()
	inTheWay := filepath.Join(wire.Standby.SocketPath(filepath.Join(s.dir, "run")), "full")
	if err := os.MkdirAll(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Replace()
	s.until("an attempt has failed", func() bool { return s.logged("The gateway could not be replaced") })
	if now := s.gatewayPID(); now != pid {
		t.Errorf("%d serves instead of %d", now, pid)
	}
	if _, keep, err := c.ask(); err != nil || !keep {
		t.Errorf("kept %v, %v", keep, err)
	}
	if err := os.RemoveAll(filepath.Dir(inTheWay)); err != nil {
		t.Fatal(err)
	}
	s.until("another gateway serves", func() bool { return s.gatewayPID() != pid })
}

// A WebSocket stays with the gateway that leaves, for the whole drain time-out, and
// documents that change meanwhile reach it there.
func TestAWebSocketStaysForTheWholeDrain(t *testing.T) {
	const drain = 1500 * time.Millisecond
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
	s.balancer("front", "hello", func(b *resource.LoadBalancerSpec) { b.DrainTimeout = resource.Duration(drain) })
	s.applied(s.instance("hello_0", "1.0.0", w.address, resource.AdmissionInService))
	c, _, err := websocket.Dial(t.Context(), s.url("front"), &websocket.DialOptions{HTTPClient: s.client()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	s.replace()
	began := time.Now()
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took < drain/2 || took > drain+5*time.Second {
		t.Errorf("it was ended after %s", took)
	}
	s.finished()
	s.until("it is counted as ended", func() bool {
		f, _ := s.Figures("hello")
		v := f.ByVersion["1.0.0"]
		return v.Ended == 1 && v.Failed+v.Cut == 0
	})
}

// A gateway that leaves holds no listening socket: an address is free when the one
// that serves has given it up.
func TestAGatewayThatLeavesHoldsNoAddress(t *testing.T) {
	s := newSite(t)
	s.set("hello")
	s.balancer("front", "hello")
	held := newSlow()
	w := s.workload(held)
	s.applied(s.instance("hello_1", "1.0.0", w.address, resource.AdmissionInService))
	address := strings.TrimPrefix(s.url("front"), "http://")
	c := dialKept(t, address)
	answered := make(chan error, 1)
	go func() {
		_, _, err := c.ask()
		answered <- err
	}()
	<-held.asked
	s.replace()
	s.applied(s.update(func(tx *store.Tx) error { return tx.Delete(resource.KindLoadBalancer, "front") }))
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("after the confirmation: %v", err)
	}
	l.Close()
	close(held.answer)
	if err := <-answered; err != nil {
		t.Errorf("what was in flight: %v", err)
	}
	s.finished()
}

// Who is up is not found out anew: the first request to the successor finds an
// instance, though no probe has ended there.
func TestTheSuccessorKnowsWhoIsUp(t *testing.T) {
	s := newSite(t)
	hang := make(chan struct{})
	var hangs atomic.Bool
	w := s.workload(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" && hangs.Load() {
			<-hang
		}
	}))
	defer close(hang)
	probed := func(spec *resource.ScaleSetSpec) {
		spec.Health.Path, spec.Health.Timeout = "/healthz", resource.Duration(patience)
	}
	s.set("hello", probed)
	s.balancer("front", "hello")
	s.applied(s.instance("hello_1", "1.0.0", w.address, resource.AdmissionInService))
	c, url := s.client(), s.url("front")
	get(t, c, url)
	var before control.ProbeResult
	s.until("it was probed", func() (ok bool) { before, ok = s.Probe("hello_1"); return ok && before.Successes > 0 })
	hangs.Store(true)
	s.replace()
	began := time.Now()
	if status, _ := get(t, c, url); status != http.StatusOK || time.Since(began) > time.Second {
		t.Errorf("%d after %s", status, time.Since(began))
	}
	s.finished()
	if now, ok := s.Probe("hello_1"); !ok || now.Successes < before.Successes {
		t.Errorf("of the probes before %+v is known", now)
	}
}
