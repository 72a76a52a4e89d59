package control_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// load opens a new connection for each request, and keeps what became of them.
type load struct {
	answered, refused, lost atomic.Int64
	inFlight                atomic.Int64
}

func (l *load) run(ctx context.Context, address string) {
	for ctx.Err() == nil {
		c, err := net.DialTimeout("tcp", address, patience)
		if errors.Is(err, syscall.ECONNREFUSED) {
			l.refused.Add(1)
			continue
		}
		if err != nil {
			l.lost.Add(1)
			continue
		}
		l.inFlight.Add(1)
		if ask(c) == nil {
			l.answered.Add(1)
		} else {
			l.lost.Add(1)
		}
		l.inFlight.Add(-1)
		_ = c.(*net.TCPConn).SetLinger(0) // the test machine has only so many ports
		c.Close()
	}
}

func ask(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return err
}

func (s *site) serving(set, lb string, n int, change ...func(*resource.LoadBalancerSpec)) string {
	s.t.Helper()
	s.set(set)
	s.balancer(lb, set, change...)
	var rev int64
	for i := range n {
		w := s.workload(says(fmt.Sprint(i)))
		rev = s.instance(resource.InstanceName(set, i), "1.0.0", w.address, resource.AdmissionInService)
	}
	s.applied(rev)
	address := strings.TrimPrefix(s.url(lb), "http://")
	s.until("it answers", func() bool {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		defer c.Close()
		return ask(c) == nil
	})
	return address
}

func TestAKilledGatewayRefusesNobody(t *testing.T) {
	const clients, kills = 8, 4
	s := newSite(t)
	address := s.serving("hello", "front", 2)
	var l load
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() { l.run(ctx, address) })
	}
	for kill := range kills {
		before := l.answered.Load()
		s.until("load runs", func() bool { return l.answered.Load() > before+200 })
		pid := s.gatewayPID()
		lost := l.lost.Load()
		began := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		answered := l.answered.Load()
		s.until("traffic flows again", func() bool { return l.answered.Load() > answered+clients })
		t.Logf("kill %d: traffic after %s, %d lost", kill, time.Since(began).Round(time.Millisecond), l.lost.Load()-lost)
		if n := l.lost.Load() - lost; n > clients {
			t.Errorf("kill %d lost %d requests of at most %d in flight", kill, n, clients)
		}
		if s.gatewayPID() == pid {
			t.Error("the gateway was not replaced")
		}
	}
	stop()
	wg.Wait()
	if n := l.refused.Load(); n > 0 {
		t.Errorf("%d connections were refused", n)
	}
}

func TestAControlProcessAdoptsTheGatewayThatRuns(t *testing.T) {
	s := newSite(t)
	address := s.serving("hello", "front", 2)
	pid := s.gatewayPID()
	var l load
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { l.run(ctx, address) })
	}
	for range 5 {
		s.stopControl()
		answered := l.answered.Load()
		s.until("traffic flows without a control process", func() bool { return l.answered.Load() > answered+50 })
		s.startControl()
		s.until("it answers for the gateway", func() bool { _, ok := s.Figures("hello"); return ok })
	}
	stop()
	wg.Wait()
	if got := s.gatewayPID(); got != pid {
		t.Errorf("the gateway was replaced: %d, then %d", pid, got)
	}
	if l.refused.Load()+l.lost.Load() > 0 {
		t.Errorf("%d refused, %d lost", l.refused.Load(), l.lost.Load())
	}
	// The adopting one holds the sockets: a kill is survived still.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatalf("after the kill: %v", err)
	}
	defer c.Close()
	if err := ask(c); err != nil {
		t.Errorf("after the kill: %v", err)
	}
}

// SIGTERM from outside is an orderly end, and a new gateway at once.
func TestAGatewayThatIsToldToEndIsReplacedWithoutALoss(t *testing.T) {
	s := newSite(t)
	address := s.serving("hello", "front", 2)
	var l load
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { l.run(ctx, address) })
	}
	for range 3 {
		pid := s.gatewayPID()
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		s.until("another one runs", func() bool { id, ok := wire.Serving.Recorded(filepath.Join(s.dir, "run")); return ok && id.PID != pid })
		answered := l.answered.Load()
		s.until("traffic flows again", func() bool { return l.answered.Load() > answered+100 })
	}
	stop()
	wg.Wait()
	if l.refused.Load()+l.lost.Load() > 0 {
		t.Errorf("%d refused, %d lost", l.refused.Load(), l.lost.Load())
	}
}

func TestAGatewayThatHangsIsKilledAndReplaced(t *testing.T) {
	t.Parallel() // it takes the whole patience that a hanging gateway is given
	s := newSite(t)
	s.serving("hello", "front", 1)
	pid := s.gatewayPID()
	s.stopControl()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.startControl()
	deadline := time.Now().Add(time.Minute)
	for {
		if id, ok := wire.Serving.Recorded(filepath.Join(s.dir, "run")); ok && id.PID != pid && id.Alive() {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the gateway that hangs was not replaced")
		}
		<-time.After(50 * time.Millisecond)
	}
	// Its sockets ended with it, as no control process had them: the port is another.
	s.until("it serves", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url("front"), "http://"))
		if err != nil {
			return false
		}
		defer c.Close()
		return ask(c) == nil
	})
}

func TestTheAPIsSocketIsKeptWhileNoControlProcessRuns(t *testing.T) {
	s := newSite(t)
	s.stopControl()
	s.startControlWith(func(c *control.Control) (net.Listener, error) { return c.Listener(t.Context(), "api", "127.0.0.1:0") })
	address := s.listener.Addr().String()
	rev := s.set("hello")
	s.applied(rev)
	s.listener.Close()
	s.stopControl()

	if l, err := net.Listen("tcp", address); err == nil {
		l.Close()
		t.Fatal("the port was free while the control process was away")
	}
	waiting, err := net.Dial("tcp", address) // it waits for the next control process
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	s.startControlWith(func(c *control.Control) (net.Listener, error) { return c.Listener(t.Context(), "api", "127.0.0.1:0") })
	if got := s.listener.Addr().String(); got != address {
		t.Errorf("the next control process was given %s, want %s", got, address)
	}
	c, err := s.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.listener.Close()
}

func TestOfTwoControlProcessesTheElderEnds(t *testing.T) {
	s := newSite(t)
	s.applied(s.set("hello"))
	elder := s.ended
	s.expectEnd = true
	s.startControl()
	select {
	case err := <-elder:
		if !errors.Is(err, control.ErrSuperseded) {
			t.Errorf("the elder ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the elder control process goes on")
	}
}

func TestStopEndsTheGatewayAndConfirms(t *testing.T) {
	s := newSite(t)
	address := s.serving("hello", "front", 1)
	id, _ := wire.Serving.Recorded(filepath.Join(s.dir, "run"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if id.Alive() {
		t.Error("the gateway lives")
	}
	s.until("the address is free", func() bool {
		l, err := net.Listen("tcp", address)
		if err == nil {
			l.Close()
		}
		return err == nil
	})
	if err := control.StopGateway(ctx, s.dir); err != nil {
		t.Errorf("stopping what is stopped: %v", err)
	}
}

// What is left in the run folder by whatever end of a gateway keeps none from starting.
func TestAStaleRunFolder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := newSite(t)
	s.applied(s.set("hello"))
	for range 3 {
		s.stopControl()
		if err := control.StopGateway(t.Context(), s.dir); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"gateway.sock", "gateway.lock", "gateway.json"} {
			junk := make([]byte, rnd.IntN(64))
			for i := range junk {
				junk[i] = byte(rnd.Uint32())
			}
			if err := os.WriteFile(filepath.Join(s.dir, "run", name), junk, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s.startControl()
		s.until("a gateway answers", func() bool { _, ok := s.Figures("hello"); return ok })
	}
}
