package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// goroutines is how many serve connections.
func goroutines() int {
	buf := make([]byte, 16<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "proxy.(*conn).serve(")
}

// parkedConnections asks once on each of n connections, and waits until none has a goroutine.
func (g *rig) parkedConnections(n int) (conns []net.Conn, ask func(net.Conn)) {
	g.t.Helper()
	ask = func(c net.Conn) {
		g.t.Helper()
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			g.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	for range n {
		c := g.dial()
		ask(c)
		conns = append(conns, c)
	}
	until(g.t, "all are parked", func() bool {
		for _, c := range g.front.connections(nil) {
			if !c.isParked() {
				return false
			}
		}
		return goroutines() == 0
	})
	return conns, ask
}

func TestIdleConnectionsHoldNoGoroutine(t *testing.T) {
	g := newRig(t)
	g.raw("a", answers(200, "ok"))
	conns, ask := g.parkedConnections(20)
	for range 2 { // and again
		for _, c := range conns {
			ask(c)
		}
		until(t, "all are parked again", func() bool { return goroutines() == 0 })
	}
	// Half a request, and the rest later.
	fmt.Fprint(conns[0], "GET / HTTP/1.1\r\n")
	until(t, "it is read", func() bool { return goroutines() == 1 })
	fmt.Fprint(conns[0], "Host: a\r\nConnection: close\r\n\r\n")
	if all, err := io.ReadAll(conns[0]); err != nil || !strings.HasSuffix(string(all), "ok") {
		t.Errorf("got %q, %v", all, err)
	}
	// One whose client leaves is closed.
	conns[1].Close()
	until(t, "it is closed", func() bool { n, _ := g.front.Connections(); return n == len(conns)-2 })
	// One whose time is over, too.
	c := *g.config
	c.Limits.IdleTimeout = resource.Duration(time.Millisecond)
	g.front.Configure(&c)
	until(t, "they are closed", func() bool { n, _ := g.front.Connections(); return n == 0 })
}

// The last request of a connection whose front is closed may come on a parked one.
func TestParkedConnectionsEndInOrder(t *testing.T) {
	g := newRig(t)
	g.raw("a", answers(200, "ok"))
	conns, _ := g.parkedConnections(3)
	g.front.Close()
	fmt.Fprint(conns[0], "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if all, err := io.ReadAll(conns[0]); err != nil || !strings.Contains(string(all), "Connection: close") || !strings.HasSuffix(string(all), "ok") {
		t.Errorf("got %q, %v", all, err)
	}
	g.front.Finish(0)
	for _, c := range conns[1:] {
		if n, err := c.Read(make([]byte, 1)); n > 0 || err != io.EOF {
			t.Errorf("a parked connection ended with %d, %v", n, err)
		}
	}
}

func TestParkingOverTLS(t *testing.T) {
	t.Run("IdleConnectionsHoldNoGoroutine", TestIdleConnectionsHoldNoGoroutine)
	t.Run("ParkedConnectionsEndInOrder", TestParkedConnectionsEndInOrder)
}
