package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/resource"
)

const shortDrain = 100 * time.Millisecond

func drainsIn(d time.Duration) func(*Config) { return func(c *Config) { c.DrainTimeout = d } }

// echo answers every message until the client leaves.
func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"echo"}})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	for {
		typ, msg, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if string(msg) == "bye" {
			_ = c.Close(websocket.StatusNormalClosure, "bye")
			return
		}
		if err := c.Write(r.Context(), typ, msg); err != nil {
			return
		}
	}
}

func (g *rig) websocket() *websocket.Conn {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	g.t.Cleanup(cancel)
	c, _, err := websocket.Dial(ctx, "ws://"+g.address+"/", &websocket.DialOptions{Subprotocols: []string{"echo"}, HTTPClient: g.client()})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.CloseNow() })
	if c.Subprotocol() != "echo" {
		g.t.Errorf("the subprotocol is %q", c.Subprotocol())
	}
	c.SetReadLimit(1 << 20)
	return c
}

func talkOver(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, got, err := c.Read(t.Context()); err != nil || string(got) != text {
		t.Fatalf("got %.20q, %v", got, err)
	}
}

func TestWebSocket(t *testing.T) {
	g := newRig(t)
	g.serve("a", http.HandlerFunc(echo))
	c := g.websocket()
	for _, n := range []int{1, 125, 126, 65535, 65536, 500000} {
		talkOver(t, c, strings.Repeat("x", n))
	}
	if err := c.Write(t.Context(), websocket.MessageText, []byte("bye")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("the backend's close arrived as %v", err)
	}
	g.wantCounts(counts{requests: 1})
}

func TestAWebSocketHasTheWholeDrainAndThenSaysGoodbye(t *testing.T) {
	g := newRig(t, drainsIn(shortDrain))
	m := g.serve("a", http.HandlerFunc(echo))
	c := g.websocket()
	talkOver(t, c, "before")
	began := time.Now()
	g.pool.Admit(m, resource.AdmissionDraining)
	talkOver(t, c, "while draining")
	_, _, err := c.Read(t.Context())
	if websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("got %v, want status 1001", err)
	}
	if d := time.Since(began); d < shortDrain {
		t.Errorf("it ended after %s of %s", d, shortDrain)
	}
	g.wantCounts(counts{requests: 1, ended: 1})
	if s := g.pool.State(m); s.Ended != resource.DrainTimeout || s.InFlightAtStart != 1 {
		t.Errorf("the drain: %+v", s)
	}
}

// switcher is a backend that accepts an upgrade and then does as it is told.
func switcher(protocol string, then func(c net.Conn)) act {
	return func(_ *raw, c net.Conn) bool {
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
		then(c)
		return false
	}
}

// upgraded asks for a protocol and returns the connection after the 101.
func (g *rig) upgraded(protocol string) (net.Conn, *bufio.Reader) {
	g.t.Helper()
	c := g.dial()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: %s\r\n\r\nearly", protocol)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != protocol {
		g.t.Fatalf("got %v, %v", resp, err)
	}
	return c, r
}

func TestADrainNeverPutsACloseIntoAFrame(t *testing.T) {
	frame := append([]byte{0x81, 10}, "0123456789"...)
	cases := []struct {
		name   string
		rest   time.Duration // after which the second half comes
		want   string
		counts counts
	}{
		{"the rest comes in time", shortDrain + 200*time.Millisecond, string(frame) + string(goingAway), counts{requests: 1, ended: 1}},
		{"the rest never comes", 0, string(frame[:6]), counts{requests: 1, cut: 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, drainsIn(shortDrain))
			g.raw("a", switcher("websocket", func(conn net.Conn) {
				_, _ = conn.Write(frame[:6])
				if c.rest > 0 {
					<-time.After(c.rest)
					_, _ = conn.Write(frame[6:])
				}
				_, _ = io.Copy(io.Discard, conn)
			}))
			_, r := g.upgraded("websocket")
			if got, err := r.Peek(6); err != nil || string(got) != string(frame[:6]) {
				t.Fatalf("got %q, %v", got, err)
			}
			g.pool.Admit(g.members["a"], resource.AdmissionDraining)
			got, err := io.ReadAll(r)
			if err != nil || string(got) != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
			g.wantCounts(c.counts)
		})
	}
}

func TestOtherUpgrades(t *testing.T) {
	t.Run("bytes pass both ways, and each end closes by itself", func(t *testing.T) {
		g := newRig(t)
		g.raw("a", switcher("thing", func(c net.Conn) {
			all, _ := io.ReadAll(c)
			fmt.Fprintf(c, "you said %q", all)
		}))
		c, r := g.upgraded("thing")
		fmt.Fprint(c, " late")
		_ = c.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(r); err != nil || string(got) != `you said "early late"` {
			t.Errorf("got %q, %v", got, err)
		}
		g.wantCounts(counts{requests: 1})
	})
	t.Run("a drain ends it with the end of file", func(t *testing.T) {
		g := newRig(t, drainsIn(shortDrain))
		g.raw("a", switcher("thing", func(c net.Conn) {
			fmt.Fprint(c, "hello")
			_, _ = io.Copy(io.Discard, c)
		}))
		_, r := g.upgraded("thing")
		g.pool.Admit(g.members["a"], resource.AdmissionDraining)
		if got, err := io.ReadAll(r); err != nil || string(got) != "hello" {
			t.Errorf("got %q, %v", got, err)
		}
		g.wantCounts(counts{requests: 1, ended: 1})
	})
	t.Run("a process that dies cuts it", func(t *testing.T) {
		g := newRig(t)
		var b *raw
		b = g.raw("a", switcher("thing", func(net.Conn) { b.die() }))
		c, r := g.upgraded("thing")
		_, _ = io.ReadAll(r)
		c.Close()
		g.wantCounts(counts{requests: 1, cut: 1})
	})
	t.Run("a process that leaves it may", func(t *testing.T) {
		g := newRig(t)
		g.raw("a", switcher("thing", func(net.Conn) {}))
		c, r := g.upgraded("thing")
		_, _ = io.ReadAll(r)
		c.Close()
		g.wantCounts(counts{requests: 1})
	})
	t.Run("a process that leaves it with bytes unread may too", func(t *testing.T) {
		g := newRig(t)
		g.raw("a", switcher("thing", func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) })) // a reset
		c, r := g.upgraded("thing")
		_, _ = io.ReadAll(r)
		c.Close()
		g.wantCounts(counts{requests: 1})
	})
	t.Run("a client that breaks off", func(t *testing.T) {
		g := newRig(t)
		g.raw("a", switcher("thing", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }))
		c, _ := g.upgraded("thing")
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		g.wantCounts(counts{requests: 1})
		until(t, "nothing is in flight", func() bool { return !g.pool.Busy() })
	})
	t.Run("a switch that nobody asked for", func(t *testing.T) {
		g := newRig(t)
		g.raw("a", switcher("thing", func(net.Conn) {}))
		resp, _, err := do(t, g.client(), "POST", g.url("/"), nil)
		if err != nil || resp.StatusCode != 502 {
			t.Errorf("got %v, %v", resp, err)
		}
	})
}

func TestWhatIsInFlightWhenADrainEnds(t *testing.T) { overBoth(t, testWhatIsInFlightWhenADrainEnds) }

func testWhatIsInFlightWhenADrainEnds(t *testing.T, client protocol) {
	cases := []struct {
		name    string
		handler func(w http.ResponseWriter, r *http.Request, in chan<- struct{})
		whole   bool
		status  int
		counts  counts
	}{
		{"an event stream ends in order", func(w http.ResponseWriter, r *http.Request, in chan<- struct{}) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
			close(in)
			<-r.Context().Done()
		}, true, 200, counts{requests: 1, ended: 1}},
		{"a download is cut, and looks so", func(w http.ResponseWriter, r *http.Request, in chan<- struct{}) {
			fmt.Fprint(w, "part")
			_ = http.NewResponseController(w).Flush()
			close(in)
			<-r.Context().Done()
		}, false, 200, counts{requests: 1, cut: 1}},
		{"a request without an answer is cut", func(w http.ResponseWriter, r *http.Request, in chan<- struct{}) {
			close(in)
			<-r.Context().Done()
		}, true, 502, counts{requests: 1, cut: 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, drainsIn(shortDrain))
			in := make(chan struct{})
			m := g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.handler(w, r, in) }))
			go func() {
				<-in
				g.pool.Admit(m, resource.AdmissionDraining)
			}()
			resp, _, err := do(t, client(g), "GET", g.url("/"), nil)
			if (err == nil) != c.whole || err == nil && resp.StatusCode != c.status {
				t.Errorf("got %v, %v", resp, err)
			}
			g.wantCounts(c.counts)
			if s := g.pool.State(m); s.Ended != resource.DrainTimeout {
				t.Errorf("the drain: %+v", s)
			}
		})
	}
}

// Draining an instance leaves the client's connection open.
func TestAClientKeepsItsConnectionThroughADrain(t *testing.T) {
	g := newRig(t)
	a := g.raw("a", answers(200, "a"))
	conn := g.dial()
	r := bufio.NewReader(conn)
	ask := func() string {
		t.Helper()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.Close {
			t.Fatalf("got %v, %v", resp, err)
		}
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	if got := ask(); got != "a" {
		t.Errorf("answered by %q", got)
	}
	g.raw("b", answers(200, "b"))
	g.pool.Admit(g.members["a"], resource.AdmissionDraining)
	g.members["a"].Backend.Retire(true)
	for range 3 {
		if got := ask(); got != "b" {
			t.Errorf("answered by %q", got)
		}
	}
	until(t, "the drained process has no connection of ours", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for c := range a.conns {
			_ = c.SetReadDeadline(time.Now())
			if _, err := c.Read(make([]byte, 1)); errors.Is(err, context.DeadlineExceeded) {
				return false
			}
		}
		return true
	})
}

func TestAFrontEndsInOrder(t *testing.T) {
	g := newRig(t, drainsIn(time.Second))
	release := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		<-release
		fmt.Fprint(w, "slow")
	})
	mux.HandleFunc("/quick", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "quick") })
	mux.HandleFunc("/", echo)
	g.serve("a", mux)
	ws := g.websocket()
	idle, busy := g.dial(), g.dial()
	idleReader := bufio.NewReader(idle)
	fmt.Fprint(idle, "GET /quick HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(idleReader, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	fmt.Fprint(busy, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	until(t, "it is in flight", func() bool { return g.pool.State(g.members["a"]).InFlight == 2 })

	g.front.Close()
	if _, err := net.DialTimeout("tcp", g.address, time.Second); err == nil {
		t.Error("a closed front still listens")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.front.Finish(time.Second)
	}()
	// A request on an open connection is still answered, and is its last.
	fmt.Fprint(idle, "GET /quick HTTP/1.1\r\nHost: a\r\n\r\n")
	if resp, err := http.ReadResponse(idleReader, nil); err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("a request on an open connection: %v, %v", resp, err)
	}
	close(release)
	if resp, err := http.ReadResponse(bufio.NewReader(busy), nil); err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("what was in flight: %v, %v", resp, err)
	}
	talkOver(t, ws, "still here")
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the WebSocket got %v", err)
	}
	<-ended
	g.wantCounts(counts{requests: 4, ended: 1})
}

// A pool that was replaced while a request was on its way to it sends it where
// the documents say now.
func TestARequestFollowsAReplacedBackend(t *testing.T) {
	overBoth(t, testARequestFollowsAReplacedBackend)
}

func testARequestFollowsAReplacedBackend(t *testing.T, client protocol) {
	g := newRig(t)
	done := make(chan error, 1)
	go func() {
		resp, _, err := do(t, client(g), "GET", g.url("/"), nil)
		if err == nil && resp.StatusCode != 200 {
			err = fmt.Errorf("status %d", resp.StatusCode)
		}
		done <- err
	}()
	until(t, "it waits", func() bool { return g.queue.Waiting() == 1 })
	old := g.pool
	g.pool = pool.New(g.queue, time.Second, nil)
	g.raw("b", answers(200, "b"))
	c := *g.config
	c.Routes = NewRoutes([]Route{{Pool: g.pool, Unserved: &g.unserved}})
	g.front.Configure(&c)
	old.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x81, 2, 'h', 'i', 0x88, 2, 3, 0xe8}, uint8(3))
	f.Add(append([]byte{0x82, 126, 0, 200}, make([]byte, 200)...), uint8(1))
	f.Add([]byte{0x82, 127, 0, 0, 0, 0, 0, 0, 0, 1, 'x'}, uint8(2))
	f.Add([]byte{0x81, 0x80 | 1, 1, 2, 3, 4, 'x'}, uint8(7))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		var whole, parts frames
		whole.follow(stream)
		for rest := stream; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			parts.follow(rest[:n])
			rest = rest[n:]
		}
		if whole != parts {
			t.Fatalf("in one piece %+v, in pieces %+v", whole, parts)
		}
	})
}
