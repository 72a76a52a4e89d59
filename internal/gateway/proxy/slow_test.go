package proxy

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

var long = flag.Bool("long", false, "run the full sizes")

// memory is what the process holds for connections.
func memory() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}

// healthy sends requests one after the other and returns how long they took.
func (g *rig) healthy(requests int) (p99 time.Duration) {
	g.t.Helper()
	conn := g.dial()
	r := bufio.NewReader(conn)
	var took []time.Duration
	for range requests {
		began := time.Now()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 200 {
			g.t.Fatalf("a healthy client got %v, %v", resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// Clients that send a byte now and then cost little memory each, harm nobody else,
// and are sent away when their time is over.
func TestSlowClients(t *testing.T) {
	clients := 1250
	if *long {
		clients = 5000
	}
	for _, kind := range []struct {
		name, first, next string
		clients           int
		each              int // bytes of memory; this process is the clients and the backend too
	}{
		{"heads", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", "x", clients, 14 << 10},
		{"bodies", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", "x", clients / 2, 32 << 10},
		{"chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n", "x", clients / 2, 36 << 10},
		{"nothing", "", "", clients, 10 << 10},
	} {
		t.Run(kind.name, func(t *testing.T) {
			g := newRig(t, func(c *Config) {
				c.Limits.HeaderTimeout = resource.Duration(time.Hour)
				c.Limits.IdleTimeout = resource.Duration(time.Hour)
			})
			g.raw("a", answers(200, "ok"))
			without := g.healthy(500)
			before := memory()
			var slow []net.Conn
			for range kind.clients {
				c, err := net.Dial("tcp", g.address)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				slow = append(slow, c)
			}
			send := func(text string) {
				for _, c := range slow {
					if _, err := io.WriteString(c, text); err != nil {
						t.Fatal(err)
					}
				}
			}
			send(kind.first)
			until(t, "all are connected", func() bool { n, _ := g.front.Connections(); return n >= kind.clients })
			for range 5 {
				send(kind.next)
			}
			with := g.healthy(500)
			each := (memory() - before) / kind.clients
			t.Logf("%d bytes a connection; p99 %v with and %v without: %.1f times", each, with, without, float64(with)/float64(without))
			if each > kind.each*costOfMemory {
				t.Errorf("a slow connection holds %d bytes, more than %d", each, kind.each)
			}
			if strings.HasPrefix(kind.first, "POST") {
				return // their time begins anew with every byte: TestLimits
			}
			c := *g.config
			c.Limits.HeaderTimeout = resource.Duration(time.Millisecond)
			c.Limits.IdleTimeout = resource.Duration(time.Millisecond)
			g.front.Configure(&c)
			until(t, "they are sent away", func() bool { n, _ := g.front.Connections(); return n == 0 })
		})
	}
}

// Streams that are silent hold no large buffer, whichever way they came to be.
func TestSilentStreams(t *testing.T) {
	const streams = 300
	for name, each := range map[string]int{"GET / HTTP/1.1\r\nHost: a\r\n\r\n": 48 << 10, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: thing\r\n\r\n": 56 << 10} {
		g := newRig(t)
		g.raw("a", func(_ *raw, c net.Conn) bool {
			head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
			if strings.Contains(name, "thing") {
				head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: thing\r\n\r\nhello"
			}
			_, _ = io.WriteString(c, head)
			_, _ = io.Copy(io.Discard, c)
			return false
		})
		before := memory()
		for range streams {
			c := g.dial()
			fmt.Fprint(c, name)
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "all are open", func() bool { return g.pool.State(g.members["a"]).InFlight == streams })
		if got := (memory() - before) / streams; got > each*costOfMemory {
			t.Errorf("a stream holds %d bytes, more than %d", got, each)
		} else {
			t.Logf("a stream holds %d bytes", got)
		}
	}
}
