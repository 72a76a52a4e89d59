//go:build !race

package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	xhttp2 "golang.org/x/net/http2"
)

// By HTTP/2 a request costs two allocations.
func TestWhatARequestByHTTP2Allocates(t *testing.T) {
	g := newRig(t, h2c)
	g.parrot2("a")
	conn := g.dial()
	request, answer := []byte("POST / HTTP/1.1\r\nHost: www.shop.example\r\nUser-Agent: test\r\nCookie: a=b\r\nContent-Length: 5\r\n\r\nhello"), make([]byte, 4096)
	ask := func() {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		for n := 0; !bytes.HasSuffix(answer[:n], []byte("0\r\n\r\n")); {
			m, err := conn.Read(answer[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += m
		}
	}
	for range 200 {
		ask()
	}
	if n := testing.AllocsPerRun(2000, ask); n > maxAllocs {
		t.Errorf("%v allocations a request", n)
	}
}

// maxAllocs: a frame with fields is one of the library's, and what is known of it is kept.
const maxAllocs = 2

// parrot2 answers each request with the same bytes, and allocates nothing meanwhile.
func (g *rig) parrot2(name string) {
	g.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		in := bufio.NewReader(c)
		_, _ = in.Discard(len(xhttp2.ClientPreface))
		_, _ = c.Write([]byte{0, 0, 0, byte(xhttp2.FrameSettings), 0, 0, 0, 0, 0})
		head, out := make([]byte, 9), make([]byte, 0, 64)
		for {
			if _, err := io.ReadFull(in, head); err != nil {
				return
			}
			_, _ = in.Discard(int(head[0])<<16 | int(head[1])<<8 | int(head[2]))
			if kind := xhttp2.FrameType(head[3]); kind != xhttp2.FrameData && kind != xhttp2.FrameHeaders || head[4]&1 == 0 {
				continue
			}
			id := head[5:9]
			out = append(append(append(out[:0], 0, 0, 1, byte(xhttp2.FrameHeaders), 4), id...), 0x88)
			out = append(append(append(out, 0, 0, 6, byte(xhttp2.FrameData), 1), id...), "hello!"...)
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	})
	g.t.Cleanup(func() {
		g.finish()
		l.Close()
		wg.Wait()
	})
	g.add(name, l.Addr().String())
}
