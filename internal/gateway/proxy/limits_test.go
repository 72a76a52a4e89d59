package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

func TestLimits(t *testing.T) { overBoth(t, testLimits) }

func testLimits(t *testing.T, client protocol) {
	limited := func(change func(*resource.LoadBalancerLimits)) func(*Config) {
		return func(c *Config) { change(&c.Limits) }
	}
	t.Run("a body that says it is too large", func(t *testing.T) {
		g := newRig(t, limited(func(l *resource.LoadBalancerLimits) { l.MaxBodyBytes = 10 }))
		b := g.raw("a", answers(200, "ok"))
		resp, _, err := do(t, client(g), "POST", g.url("/"), make([]byte, 11))
		if err != nil || resp.StatusCode != 413 {
			t.Errorf("got %v, %v", resp, err)
		}
		if resp, _, err := do(t, client(g), "POST", g.url("/"), make([]byte, 10)); err != nil || resp.StatusCode != 200 {
			t.Errorf("one that fits: %v, %v", resp, err)
		}
		if b.requests.Load() != 1 {
			t.Errorf("%d requests arrived", b.requests.Load())
		}
	})
	t.Run("a body that turns out too large", func(t *testing.T) {
		g := newRig(t, limited(func(l *resource.LoadBalancerLimits) { l.MaxBodyBytes = 10 }))
		g.raw("a", answers(200, "ok"))
		q, _ := http.NewRequestWithContext(t.Context(), "POST", g.url("/"), io.MultiReader(strings.NewReader("123456"), strings.NewReader("123456")))
		resp, err := client(g).Do(q)
		if err != nil || resp.StatusCode != 413 {
			t.Fatalf("got %v, %v", resp, err)
		}
		resp.Body.Close()
		g.wantCounts(counts{requests: 1})
	})
	t.Run("a header that is too large", func(t *testing.T) {
		g := newRig(t, limited(func(l *resource.LoadBalancerLimits) { l.MaxHeaderBytes = 1 << 10 }))
		g.raw("a", answers(200, "ok"))
		resp, _, err := do(t, client(g), "GET", g.url("/"), nil, "X-Large", strings.Repeat("x", 8<<10))
		told := err != nil && strings.Contains(err.Error(), "larger than peer's advertised limit") // by HTTP/2, in time
		if !told && (err != nil || resp.StatusCode != 431) {
			t.Errorf("got %v, %v", resp, err)
		}
	})
	t.Run("a client that is slow with its header", func(t *testing.T) {
		g := newRig(t, limited(func(l *resource.LoadBalancerLimits) { l.HeaderTimeout = resource.Duration(50 * time.Millisecond) }))
		conn := g.dial()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost:")
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("the connection was not closed in order: %v", err)
		}
	})
	t.Run("a client that is slow with its body", func(t *testing.T) {
		g := newRig(t, limited(func(l *resource.LoadBalancerLimits) { l.IdleTimeout = resource.Duration(100 * time.Millisecond) }))
		g.raw("a", answers(200, "ok"))
		for _, method := range []string{"POST", "PUT"} {
			conn := g.dial()
			fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12", method)
			_, _ = io.Copy(io.Discard, conn)
		}
		g.wantCounts(counts{requests: 2})
		until(t, "nothing is in flight", func() bool { return !g.pool.Busy() })
	})
	t.Run("a request that takes too long", func(t *testing.T) {
		g := newRig(t, limited(func(l *resource.LoadBalancerLimits) { l.RequestTimeout = resource.Duration(50 * time.Millisecond) }))
		g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		resp, _, err := do(t, client(g), "GET", g.url("/"), nil)
		if err != nil || resp.StatusCode != 504 {
			t.Errorf("got %v, %v", resp, err)
		}
		g.wantCounts(counts{requests: 1, failed: 1})
	})
	t.Run("connections, in all", func(t *testing.T) {
		g := newRig(t, limited(func(l *resource.LoadBalancerLimits) { l.MaxConnections = 1 }))
		g.raw("a", answers(200, "ok"))
		first, second := g.dial(), g.dial()
		ask := func(c net.Conn) { fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") }
		ask(first)
		if _, err := http.ReadResponse(bufio.NewReader(first), nil); err != nil {
			t.Fatal(err)
		}
		ask(second)
		if now, _ := g.front.Connections(); now != 1 {
			t.Errorf("%d connections are open", now)
		}
		first.Close()
		if _, err := http.ReadResponse(bufio.NewReader(second), nil); err != nil {
			t.Errorf("the one that waited: %v", err)
		}
	})
	t.Run("connections of one client", func(t *testing.T) {
		g := newRig(t, limited(func(l *resource.LoadBalancerLimits) { l.MaxConnectionsPerClient = 1 }))
		g.raw("a", answers(200, "ok"))
		g.dial()
		until(t, "the first is counted", func() bool { n, _ := g.front.Connections(); return n == 1 })
		resp, err := http.ReadResponse(bufio.NewReader(g.dial()), nil)
		if err != nil || resp.StatusCode != 429 {
			t.Errorf("got %v, %v", resp, err)
		}
	})
}

// Changing limits loses no request on the connections that exist.
func TestLimitsChangeInPlace(t *testing.T) {
	g := newRig(t)
	g.raw("a", answers(200, "ok"))
	conn := g.dial()
	r := bufio.NewReader(conn)
	ask := func() *http.Response {
		t.Helper()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp
	}
	if ask().Close {
		t.Error("the connection ends with its first answer")
	}
	c := *g.config
	c.Limits.IdleTimeout = resource.Duration(50 * time.Millisecond)
	g.front.Configure(&c)
	if ask().Close {
		t.Error("a change of limits closes a connection that exists")
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("a connection that exists is not held to new limits: %v", err)
	}
	if resp, _, err := do(t, g.client(), "GET", g.url("/"), nil); err != nil || resp.Close {
		t.Errorf("a new one: %v, %v", resp, err)
	}
}

// A connection that arrives at that very moment is served all the same.
func TestLimitsChangeUnderNewConnections(t *testing.T) {
	g := newRig(t)
	g.raw("a", answers(200, "ok"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			c := *g.config
			c.Limits.IdleTimeout = resource.Duration(time.Duration(n) * time.Minute)
			g.front.Configure(&c)
		}
	})
	for range 300 {
		conn := g.dial()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Error(err)
			break
		}
		conn.Close()
	}
	close(stop)
	wg.Wait()
}

// Answers that nobody reads, each small enough to be written at once, must not
// hold a connection for ever.
func TestAClientThatReadsNothingLosesItsConnection(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Limits.IdleTimeout = resource.Duration(100 * time.Millisecond) })
	g.raw("a", answers(200, strings.Repeat("x", 2<<10)))
	conn := g.dial()
	until(t, "it is connected", func() bool { n, _ := g.front.Connections(); return n == 1 })
	var wg sync.WaitGroup
	wg.Go(func() { // until the connection is broken
		for {
			if _, err := fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				return
			}
		}
	})
	until(t, "the connection is closed", func() bool { n, _ := g.front.Connections(); return n == 0 })
	conn.Close()
	wg.Wait()
}

func TestWhenNobodyIsInService(t *testing.T) { overBoth(t, testWhenNobodyIsInService) }

func testWhenNobodyIsInService(t *testing.T, client protocol) {
	t.Run("a request waits for an instance", func(t *testing.T) {
		g := newRig(t)
		time.AfterFunc(50*time.Millisecond, func() { g.raw("a", answers(200, "ok")) })
		if resp, _, err := do(t, client(g), "POST", g.url("/"), []byte("x")); err != nil || resp.StatusCode != 200 {
			t.Errorf("got %v, %v", resp, err)
		}
		g.wantCounts(counts{requests: 1})
	})
	t.Run("but not for ever", func(t *testing.T) {
		g := newRig(t, func(c *Config) { c.QueueTimeout = 20 * time.Millisecond })
		resp, _, err := do(t, client(g), "GET", g.url("/"), nil)
		if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("got %v, %v", resp, err)
		}
		g.wantCounts(counts{requests: 1, failed: 1})
		if got := countsOf(&g.unserved); got.failed != 1 {
			t.Errorf("the set counted %+v", got)
		}
	})
	t.Run("and not too many", func(t *testing.T) {
		g := newRig(t, func(c *Config) { c.Limits.MaxQueue = 1 })
		go func() { _, _, _ = do(t, client(g), "GET", g.url("/"), nil) }()
		until(t, "one waits", func() bool { return g.queue.Waiting() == 1 })
		if resp, _, err := do(t, client(g), "GET", g.url("/"), nil); err != nil || resp.StatusCode != 503 {
			t.Errorf("got %v, %v", resp, err)
		}
		g.raw("a", answers(200, "ok"))
		g.wantCounts(counts{requests: 2, failed: 1})
	})
	t.Run("a client that leaves is not counted as failed", func(t *testing.T) {
		g := newRig(t)
		conn := g.dial()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		until(t, "it waits", func() bool { return g.queue.Waiting() == 1 })
		conn.Close()
		g.wantCounts(counts{requests: 1})
	})
}

func TestAClientThatLeavesFreesTheInstance(t *testing.T) {
	g := newRig(t)
	in := make(chan struct{})
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(in)
		<-r.Context().Done()
	}))
	conn := g.dial()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	<-in
	conn.Close()
	g.wantCounts(counts{requests: 1})
	until(t, "nothing is in flight", func() bool { return !g.pool.Busy() })
}
