package tcp

import (
	"io"
	"log/slog"
	"net"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/tally"
	"github.com/droverhq/drover/internal/gateway/upstream"
	"github.com/droverhq/drover/internal/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// rig is a front before a pool, in this process.
type rig struct {
	t        *testing.T
	front    *Front
	pool     *pool.Pool
	queue    *pool.Queue
	config   *Config
	counters tally.Counters
	versions tally.Counters // of all members
	unserved tally.Counters
	address  string
	members  map[string]*pool.Member
	finish   func()
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	g := &rig{t: t, queue: &pool.Queue{}, members: map[string]*pool.Member{}}
	spec := resource.DefaultLoadBalancerSpec()
	g.config = &Config{
		Name: "front", Unserved: &g.unserved, Limits: spec.Limits,
		QueueTimeout: spec.QueueTimeout.Std(), DrainTimeout: spec.DrainTimeout.Std(),
	}
	for _, c := range change {
		c(g.config)
	}
	g.queue.SetMax(g.config.Limits.MaxQueue)
	g.pool = pool.New(g.queue, g.config.DrainTimeout, nil)
	g.config.Pool = g.pool
	l := listen(t)
	g.address = l.Addr().String()
	g.front = Serve(Options{Listener: l, Counters: &g.counters, Logger: slog.New(slog.DiscardHandler)}, g.config)
	g.finish = sync.OnceFunc(func() {
		for _, m := range g.members {
			g.pool.Remove(m)
		}
		g.front.Close()
		g.front.Finish(0)
	})
	t.Cleanup(g.finish)
	return g
}

func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l.(*net.TCPListener)
}

// add puts a member into service.
func (g *rig) add(name, address string, pid int) *pool.Member {
	m := &pool.Member{Name: name, Version: "1.0.0", Backend: upstream.New(address, pid, nil), Counters: &g.versions}
	g.members[name] = m
	g.pool.Add(m, resource.AdmissionInService, true)
	return m
}

// serve puts a program into service that does with each connection what talk does.
func (g *rig) serve(name string, talk func(*net.TCPConn)) *pool.Member {
	g.t.Helper()
	address, _ := g.program(talk)
	return g.add(name, address, 0)
}

// program listens until the test ends, or die is called: what the end of a
// process looks like from outside.
func (g *rig) program(talk func(*net.TCPConn)) (address string, die func()) {
	g.t.Helper()
	l := listen(g.t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[*net.TCPConn]bool{}
	wg.Go(func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				talk(c)
			})
		}
	})
	die = func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			c.Close()
		}
	}
	g.t.Cleanup(func() {
		die()
		wg.Wait()
	})
	return l.Addr().String(), die
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, c) }

// named answers each byte with a letter, and nothing else.
func named(letter byte) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		b := make([]byte, 1)
		for {
			if _, err := io.ReadFull(c, b); err != nil {
				return
			}
			b[0] = letter
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
}

func (g *rig) dial() *net.TCPConn {
	g.t.Helper()
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		g.t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// ask sends a byte and returns the one that comes back.
func (g *rig) ask(c net.Conn) byte {
	g.t.Helper()
	b := []byte{'?'}
	if _, err := c.Write(b); err != nil {
		g.t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil {
		g.t.Fatal(err)
	}
	return b[0]
}

// counts are those that most tests look at.
type counts struct{ requests, failed, retried, cut, errors, ended uint64 }

func countsOf(c *tally.Counters) counts {
	r := c.Read()
	return counts{r.Requests, r.Failed, r.Retried, r.Cut, r.Errors, r.Ended}
}

// wantCounts waits for the counts of the balancer, which its version's are too.
func (g *rig) wantCounts(want counts) {
	g.t.Helper()
	g.wantCountsOf(want, &g.counters, &g.versions)
}

func (g *rig) wantCountsOf(want counts, of ...*tally.Counters) {
	g.t.Helper()
	for _, c := range of {
		for end := time.Now().Add(5 * time.Second); countsOf(c) != want && time.Now().Before(end); {
			<-time.After(time.Millisecond)
		}
		if got := countsOf(c); got != want {
			g.t.Errorf("counted %+v, want %+v", got, want)
		}
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited %s for: %s", patience, what)
		}
		<-time.After(time.Millisecond)
	}
}

// process is one that only exists, to be killed.
func process(t *testing.T) (pid int, kill func()) {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	return cmd.Process.Pid, kill
}
