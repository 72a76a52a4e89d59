package proxy

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// A backend that breaks the rules harms the request that it breaks them in, and
// no other.
func TestBackendsThatBreakTheRules(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for _, c := range []struct {
		name   string
		answer string
		then   act
		want   string // what the client gets at the end; "": 502
	}{
		{"answers twice", ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", hangsOn, "\r\n\r\nok"},
		{"says too little", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", hangsOn, "\r\n\r\nok"},
		{"says too much", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok", hangsUp, "\r\n\r\nok"},
		{"sends a body where none may be", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", hangsOn, "\r\n\r\n"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", hangsOn, ""},
		{"a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", hangsOn, ""},
		{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", hangsOn, ""},
		{"a field that is folded", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 2\r\n\r\nok", hangsOn, ""},
		{"a coding that nobody knows", "HTTP/1.1 200 OK\r\nTransfer-Encoding: br\r\n\r\nok", hangsOn, ""},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", hangsOn, ""},
		{"a head without end", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 2<<20), hangsOn, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t)
			g.raw("a", writes(c.answer, c.then))
			got := g.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			if c.want == "" {
				if !strings.HasPrefix(got, "HTTP/1.1 502 ") || strings.Contains(got, "ok") {
					t.Errorf("got %q", got)
				}
				return
			}
			if !strings.HasSuffix(got, c.want) {
				t.Errorf("got %q", got)
			}
			g.raw("b", answers(200, "next"))
			until(t, "no connection is used again", func() bool {
				answer := g.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				if strings.Contains(answer, "evil") {
					t.Errorf("another request got %q", answer)
				}
				return strings.HasSuffix(answer, "next")
			})
		})
	}
}

// hangsOn leaves the connection open, and says no more.
func hangsOn(b *raw, c net.Conn) bool {
	_, _ = io.Copy(io.Discard, c)
	return false
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	g := newRig(t)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	}))
	conn := g.dial()
	var sent strings.Builder
	for i := range 50 {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&sent, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
		case 1:
			fmt.Fprintf(&sent, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", i)
		case 2:
			fmt.Fprintf(&sent, "POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n", i)
		}
	}
	if _, err := io.WriteString(conn, sent.String()); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	for i := range 50 {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		want := fmt.Sprintf("/%d ", i)
		if i%3 > 0 {
			want += "abc"
		}
		if string(body) != want {
			t.Errorf("answer %d is %q", i, body)
		}
	}
}

func TestHTTP10(t *testing.T) {
	g := newRig(t)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunks" {
			_ = http.NewResponseController(w).Flush()
		}
		fmt.Fprint(w, "body")
	}))
	// What comes in chunks ends with the connection.
	got := g.talk("GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.0 200 ") || !strings.HasSuffix(got, "\r\n\r\nbody") || strings.Contains(got, "chunked") {
		t.Errorf("got %q", got)
	}
	// What has a length does not have to.
	got = g.talk("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n")
	if strings.Count(got, "\r\n\r\nbody") != 2 || strings.Count(got, "Connection: keep-alive") != 1 || strings.Count(got, "Connection: close") != 1 {
		t.Errorf("got %q", got)
	}
	// An answer that is cut must not look whole: nothing but its end says that it is.
	g = newRig(t)
	g.raw("a", writes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", hangsUp))
	conn := g.dial()
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	if all, err := io.ReadAll(conn); err == nil {
		t.Errorf("a cut answer looks whole: %q", all)
	}
}

func TestAnAnswerThatEndsWithItsConnection(t *testing.T) {
	overBoth(t, testAnAnswerThatEndsWithItsConnection)
}

func testAnAnswerThatEndsWithItsConnection(t *testing.T, client protocol) {
	g := newRig(t)
	g.raw("a", writes("HTTP/1.1 200 OK\r\n\r\nall there is", hangsUp))
	for range 2 { // on one connection of the client's
		resp, body, err := do(t, client(g), "GET", g.url("/"), nil)
		if err != nil || body != "all there is" || resp.Close {
			t.Errorf("got %v, %q, %v", resp, body, err)
		}
	}
	g.wantCounts(counts{requests: 2})
}

// Bodies of any size pass both ways as they are.
func TestLargeBodiesPassUnchanged(t *testing.T) { overBoth(t, testLargeBodiesPassUnchanged) }

func testLargeBodiesPassUnchanged(t *testing.T, client protocol) {
	size := 8 << 20
	if *long {
		size = 50 << 20
	}
	g := newRig(t)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, _ := io.Copy(sum, r.Body)
		if n == 0 {
			_, _ = io.CopyN(w, rand.New(rand.NewSource(1)), int64(size))
			return
		}
		fmt.Fprintf(w, "%d %x", n, sum.Sum(nil))
	}))
	sum := sha256.New()
	_, _ = io.CopyN(sum, rand.New(rand.NewSource(1)), int64(size))
	want := fmt.Sprintf("%d %x", size, sum.Sum(nil))
	for _, length := range []int64{int64(size), -1} {
		q, _ := http.NewRequestWithContext(t.Context(), "POST", g.url("/"), io.LimitReader(rand.New(rand.NewSource(1)), int64(size)))
		q.ContentLength = length
		resp, err := client(g).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != want {
			t.Errorf("the backend got %s, not %s", body, want)
		}
	}
	resp, err := client(g).Get(g.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sum.Reset()
	n, err := io.Copy(sum, resp.Body)
	if got := fmt.Sprintf("%d %x", n, sum.Sum(nil)); err != nil || got != want {
		t.Errorf("the client got %s, %v, not %s", got, err, want)
	}
}

// A connection that waits for its next request is closed when that takes too
// long, and a request that comes at that very moment is answered.
func TestIdleConnectionsEnd(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Limits.IdleTimeout = resource.Duration(300 * time.Millisecond) })
	g.raw("a", answers(200, "ok"))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			conn := g.dial()
			r := bufio.NewReader(conn)
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			began := time.Now()
			_, err = r.ReadByte()
			if took := time.Since(began); err != io.EOF || took < 250*time.Millisecond {
				t.Errorf("connection %d ended after %v with %v", i, took, err)
			}
		})
	}
	wg.Wait()
}
