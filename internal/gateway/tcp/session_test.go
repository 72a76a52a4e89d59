package tcp

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

func TestBytesAndHalfClosesPassBothWays(t *testing.T) {
	g := newRig(t)
	g.serve("a", func(c *net.TCPConn) { // answers only when the client has finished
		all, _ := io.ReadAll(c)
		_, _ = c.Write(all)
	})
	sent := make([]byte, 8<<20) // more than buffers hold: some of it is spliced
	_, _ = rand.Read(sent)
	c := g.dial()
	if _, err := c.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d came back, %v", len(got), len(sent), err)
	}
	g.wantCounts(counts{requests: 1})
}

func TestManyConnectionsAtOnce(t *testing.T) {
	g := newRig(t)
	g.serve("a", echo)
	g.serve("b", echo)
	var wg sync.WaitGroup
	for n := range 64 {
		c := g.dial()
		wg.Go(func() {
			sent := bytes.Repeat([]byte{byte(n)}, 300<<10)
			go func() {
				_, _ = c.Write(sent)
				_ = c.CloseWrite()
			}()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("connection %d: %d bytes of %d, %v", n, len(got), len(sent), err)
			}
		})
	}
	wg.Wait()
	g.wantCounts(counts{requests: 64})
}

func TestTheLeastBusyMemberIsTaken(t *testing.T) {
	g := newRig(t)
	g.serve("a", named('a'))
	g.serve("b", named('b'))
	got := map[byte]int{}
	for range 8 {
		got[g.ask(g.dial())]++
	}
	if got['a'] != 4 || got['b'] != 4 {
		t.Errorf("got %v", got)
	}
}

// What nobody can have seen goes to another instance.
func TestARefusedConnectionGoesElsewhere(t *testing.T) {
	g := newRig(t)
	l := listen(t)
	g.add("a", l.Addr().String(), 0)
	l.Close()
	g.serve("b", named('b'))
	for range 3 {
		c := g.dial()
		if got := g.ask(c); got != 'b' {
			t.Errorf("got %c", got)
		}
		c.Close()
	}
	until(t, "all are counted", func() bool { return countsOf(&g.counters).requests == 3 })
	if got := countsOf(&g.counters); got.failed != 0 || got.cut != 0 || got.retried > 1 {
		t.Errorf("counted %+v", got)
	}
}

// A client that is not served sees it: the end of the stream could be an answer.
func wantReset(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client got %v", err)
	}
}

// wantTurnedAway connects, and may see the reset as early as that.
func (g *rig) wantTurnedAway() {
	c, err := net.Dial("tcp", g.address)
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		g.t.Errorf("the client got %v", err)
	}
}

func TestNobodyInService(t *testing.T) {
	g := newRig(t, func(c *Config) { c.QueueTimeout = 50 * time.Millisecond; c.Limits.MaxQueue = 1 })
	var both sync.WaitGroup
	both.Go(g.wantTurnedAway)
	both.Go(g.wantTurnedAway) // one of them cannot even wait
	both.Wait()
	g.wantCountsOf(counts{requests: 2, failed: 2}, &g.counters, &g.unserved)
}

func TestWhoWaitsIsServedByTheFirstThatComes(t *testing.T) {
	g := newRig(t)
	c := g.dial()
	if _, err := c.Write([]byte("early")); err != nil {
		t.Fatal(err)
	}
	until(t, "it waits", func() bool { return g.queue.Waiting() == 1 })
	g.serve("a", echo)
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "early" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAPoolThatWasReplacedIsLeft(t *testing.T) {
	g, other := newRig(t), newRig(t)
	other.serve("b", named('b'))
	c := g.dial()
	until(t, "it waits", func() bool { return g.queue.Waiting() == 1 })
	changed := *g.config
	changed.Pool = other.pool
	g.front.Configure(&changed)
	g.pool.Close()
	if got := g.ask(c); got != 'b' {
		t.Errorf("got %c", got)
	}
	c.Close()
	until(t, "it has ended", func() bool { return !other.pool.Busy() })
}

func TestAResetPassesThrough(t *testing.T) {
	for name, ends := range map[string]func(g *rig, c *net.TCPConn, backend *net.TCPConn){
		"of the process's": func(g *rig, c, backend *net.TCPConn) {
			_ = backend.SetLinger(0)
			backend.Close()
			wantReset(g.t, c)
		},
		"of the client's": func(g *rig, c, backend *net.TCPConn) {
			_ = c.SetLinger(0)
			c.Close()
			_ = backend.SetReadDeadline(time.Now().Add(patience))
			wantReset(g.t, backend)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			conns, done := make(chan *net.TCPConn, 1), make(chan struct{})
			defer close(done)
			g.serve("a", func(c *net.TCPConn) {
				_, _ = c.Read(make([]byte, 1))
				_, _ = c.Write([]byte{'a'})
				select { // only the first: whether it lives is asked by connecting, too
				case conns <- c:
				default:
				}
				<-done
			})
			c := g.dial()
			g.ask(c)
			ends(g, c, <-conns)
			g.wantCounts(counts{requests: 1})
		})
	}
}

func TestSilentConnectionsEnd(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Limits.IdleTimeout = resource.Duration(300 * time.Millisecond) })
	g.serve("a", echo)
	silent, talking := g.dial(), g.dial()
	g.ask(silent)
	began := time.Now()
	ended := make(chan time.Duration, 1)
	go func() {
		_, _ = silent.Read(make([]byte, 1))
		ended <- time.Since(began)
	}()
	for time.Since(began) < time.Second {
		g.ask(talking)
		<-time.After(20 * time.Millisecond)
	}
	select {
	case d := <-ended:
		if d < 300*time.Millisecond {
			t.Errorf("it was ended after %s", d)
		}
	default:
		t.Error("the silent connection is still there")
	}
	talking.Close()
	g.wantCounts(counts{requests: 2})
}

func TestWithoutIdleTimeoutSilenceIsAllowed(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Limits.IdleTimeout = 0 })
	g.serve("a", echo)
	c := g.dial()
	g.ask(c)
	g.front.list()[0].expire(time.Now().Add(time.Hour), 0)
	g.ask(c)
}

// Who does not take what is sent counts as silent.
func TestAClientThatDoesNotReadEnds(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Limits.IdleTimeout = resource.Duration(300 * time.Millisecond) })
	g.serve("a", func(c *net.TCPConn) {
		for chunk := make([]byte, 1<<20); ; {
			if _, err := c.Write(chunk); err != nil {
				return
			}
		}
	})
	g.dial()
	g.wantCounts(counts{requests: 1})
}

func TestLimitsOfConnections(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Limits.MaxConnections = 1 })
	g.serve("a", echo)
	first, second := g.dial(), g.dial()
	g.ask(first)
	if _, err := second.Write([]byte{'?'}); err != nil {
		t.Fatal(err)
	}
	_ = second.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("the second one was served beside the first")
	}
	first.Close()
	_ = second.SetReadDeadline(time.Now().Add(patience))
	if _, err := second.Read(make([]byte, 1)); err != nil {
		t.Errorf("the second one was not served after the first: %v", err)
	}
	limited := *g.config
	limited.Limits.MaxConnections, limited.Limits.MaxConnectionsPerClient = 0, 1
	g.front.Configure(&limited)
	g.wantTurnedAway()
	if now, refused := g.front.Connections(); now != 1 || refused != 1 {
		t.Errorf("%d are connected, %d were refused", now, refused)
	}
}
