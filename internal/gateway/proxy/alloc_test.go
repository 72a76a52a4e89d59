//go:build !race

package proxy

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/droverhq/drover/internal/gateway/pool"
)

// parrot answers each request, which comes in one piece, with the same bytes, and
// allocates nothing meanwhile.
func (g *rig) parrot(name, answer string) *pool.Member {
	g.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				in, out := make([]byte, 8<<10), []byte(answer)
				for {
					if _, err := c.Read(in); err != nil {
						return
					}
					if _, err := c.Write(out); err != nil {
						return
					}
				}
			})
		}
	})
	g.t.Cleanup(func() {
		g.finish()
		l.Close()
		wg.Wait()
	})
	return g.add(name, l.Addr().String())
}

// The race detector has pools drop what is put in them: this test is not for it.
func TestARequestAllocatesNothing(t *testing.T) {
	const fields = "Host: www.shop.example\r\nUser-Agent: test\r\nAccept: */*\r\nCookie: a=b\r\nX-Other: c\r\n"
	plain := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 128\r\n\r\n" + strings.Repeat("x", 128)
	alike := string(pool.KeyOf([]byte("secret"), "front", "hello", "a").AppendText(nil))
	for _, c := range []struct{ name, request, answer, end string }{
		{"GET", "GET /a/b?c=d HTTP/1.1\r\n" + fields + "\r\n", plain, "x"},
		{"GET with affinity and a log", "GET / HTTP/1.1\r\nCookie: a=b; at=" + alike + "; c=d\r\n" + fields + "\r\n", plain, "x"},
		{"GET with escapes", "GET /%61/b HTTP/1.1\r\n" + fields + "\r\n", plain, "x"},
		{"HEAD", "HEAD / HTTP/1.1\r\n" + fields + "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 128\r\n\r\n", "\r\n\r\n"},
		{"POST with a small body", "POST / HTTP/1.1\r\n" + fields + "Content-Length: 5\r\n\r\nhello", plain, "x"},
		{"not modified", "GET / HTTP/1.1\r\n" + fields + "\r\n", "HTTP/1.1 304 Not Modified\r\nEtag: \"a\"\r\n\r\n", "\r\n\r\n"},
		{"an answer in chunks", "GET / HTTP/1.1\r\n" + fields + "\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n"},
		{"a large answer", "GET / HTTP/1.1\r\n" + fields + "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("y", 19999) + "z", "z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t)
			g.config.Routes = NewRoutes([]Route{{Host: "*.shop.example", Path: "/", Pool: g.pool}})
			g.withKey(g.parrot("a", c.answer))
			g.parrot("b", c.answer)
			g.config.Affinity = []byte("at")
			if c.name == "GET with affinity and a log" {
				change, _ := logged(t)
				change(g.config)
			}
			if n := g.allocations(c.request, c.end); n > 0 {
				t.Errorf("%v allocations a request", n)
			}
		})
	}
}

// allocations is how many a request costs on a connection that is kept.
func (g *rig) allocations(request, end string) float64 {
	g.t.Helper()
	conn := g.dial()
	question, answer := []byte(request), make([]byte, 64<<10)
	ask := func() {
		if _, err := conn.Write(question); err != nil {
			g.t.Fatal(err)
		}
		for n := 0; ; {
			m, err := conn.Read(answer[n:])
			if err != nil {
				g.t.Fatal(err)
			}
			if n += m; string(answer[n-len(end):n]) == end {
				return
			}
		}
	}
	for range 100 {
		ask()
	}
	return testing.AllocsPerRun(2000, ask)
}

// crypto/tls makes one small thing for each record that it reads: of the request
// here, and of the answer in the client, which is in this process too. Nothing else
// is made.
func TestWhatARequestByTLSAllocates(t *testing.T) {
	for _, size := range []int{128, 3000, 16000} {
		g := secureRig(t)
		g.parrot("a", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sz", size, strings.Repeat("x", size-1)))
		if n := g.allocations(request, "z"); n > 2 {
			t.Errorf("%v allocations a request with an answer of %d bytes", n, size)
		}
	}
}
