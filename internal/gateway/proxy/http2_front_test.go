package proxy

import (
	"fmt"
	"io"

	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/droverhq/drover/internal/resource"
)

func TestHTTP2IsOnlyWhatBeginsSo(t *testing.T) {
	g := newRig(t)
	g.raw("a", answers(200, "ok"))
	for name, before := range map[string]string{
		"after a request":         "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"after an empty line":     "\r\n",
		"with something else":     "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
		"with a field":            "PRI * HTTP/2.0\r\nHost: a\r\n\r\n",
		"with another version":    "PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n",
		"as a method of HTTP/1.1": "PRI / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := g.dial()
			fmt.Fprint(c, before+xhttp2.ClientPreface)
			all, err := io.ReadAll(c)
			if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 ") || !strings.Contains(string(all), "HTTP/1.1 505 ") {
				t.Errorf("got %q, %v", all, err)
			}
		})
	}
	t.Run("byte by byte", func(t *testing.T) {
		c := g.dial()
		for _, b := range []byte(xhttp2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00") {
			if _, err := c.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if f, err := xhttp2.NewFramer(nil, c).ReadFrame(); err != nil || f.Header().Type != xhttp2.FrameSettings {
			t.Errorf("got %v, %v", f, err)
		}
	})
	t.Run("never whole", func(t *testing.T) {
		g := newRig(t, func(c *Config) { c.Limits.HeaderTimeout = resource.Duration(50 * time.Millisecond) })
		for n := range len(xhttp2.ClientPreface) {
			c := g.dial()
			fmt.Fprint(c, xhttp2.ClientPreface[:n])
			got, err := io.ReadAll(c)
			if err != nil || len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 505 ") {
				t.Errorf("after %d bytes: %q, %v", n, got, err)
			}
		}
	})
}

func TestWhatIsNoRequestOfHTTP2(t *testing.T) {
	g := newRig(t)
	b := g.raw("a", answers(200, "ok"))
	k := g.talk2()
	k.ask(1, false, "CONNECT", "")
	k.want("1: 405", `1: "405 Method Not Allowed: this is not a forward proxy\n" end`, "1: RST_STREAM NO_ERROR")
	k.ask(3, false, "CONNECT", "/", ":protocol", "websocket")
	k.want("3: RST_STREAM PROTOCOL_ERROR")
	k.ask(5, true, "GET", "/ HTTP/1.1\r\nX-Smuggled: 1")
	k.want("5: RST_STREAM PROTOCOL_ERROR")
	k.ask(7, true, "GET", "/", "transfer-encoding", "chunked")
	k.want("7: RST_STREAM PROTOCOL_ERROR")
	k.ask(9, true, "GET", "/%")
	k.wantLater(`9: "400 Bad Request: the request target is malformed\n" end`)
	if n := b.requests.Load(); n != 0 {
		t.Errorf("%d requests reached the instance", n)
	}
	k.ask(11, true, "HEAD", "/")
	k.want("11: 200 end")
}

func TestAnAnswerThatIsCutNeverLooksWhole(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		counts counts
		then   act
	}{
		"it dies":                  {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", counts{requests: 2, cut: 1}, dies},
		"it hangs up":              {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", counts{requests: 2, failed: 1}, hangsUp},
		"it hangs up in a chunk":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhel", counts{requests: 2, failed: 1}, hangsUp},
		"it has no end of chunks":  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", counts{requests: 2, failed: 1}, hangsUp},
		"it has a malformed chunk": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n", counts{requests: 2, failed: 1}, hangsUp},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			g.raw("a", writes(c.answer, c.then))
			k := g.talk2()
			k.ask(1, true, "GET", "/")
			k.want("1: 200")
			for got := k.next(); got != "1: RST_STREAM INTERNAL_ERROR"; got = k.next() {
				if !strings.HasPrefix(got, `1: "`) || strings.HasSuffix(got, " end") {
					t.Fatalf("got %q", got)
				}
			}
			g.raw("b", answers(200, "b"))
			g.pool.Admit(g.members["a"], resource.AdmissionOut)
			k.ask(3, true, "GET", "/") // the connection goes on
			k.want("3: 200", `3: "b" end`)
			g.wantCounts(c.counts)
		})
	}
}

func TestAnEarlyAnswerEndsTheUpload(t *testing.T) {
	g := newRig(t)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(413)
		_, _ = io.WriteString(w, "no")
	}))
	k := g.talk2()
	k.ask(1, false, "POST", "/", "content-length", "1000000")
	_ = k.framer.WriteData(1, false, make([]byte, 10000))
	k.send()
	k.want("1: 413", `1: "no" end`, "1: RST_STREAM NO_ERROR")
	_ = k.framer.WriteData(1, false, make([]byte, 10000)) // it was on its way
	k.ask(3, true, "GET", "/")
	k.want("3: 413", `3: "no" end`)
	g.wantCounts(counts{requests: 2})
}

// Draining an instance leaves the client's connection open, and its streams where they are.
func TestHTTP2GoesOnThroughADrain(t *testing.T) {
	g := newRig(t)
	release := make(chan struct{})
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
		fmt.Fprint(w, "a")
	}))
	k := g.talk2()
	k.ask(1, true, "GET", "/slow")
	until(t, "it is in flight", func() bool { return g.pool.State(g.members["a"]).InFlight == 1 })
	g.raw("b", answers(200, "b"))
	g.pool.Admit(g.members["a"], resource.AdmissionDraining)
	for id := uint32(3); id < 9; id += 2 {
		k.ask(id, true, "GET", "/")
		k.want(fmt.Sprintf("%d: 200", id), fmt.Sprintf("%d: \"b\" end", id))
	}
	close(release)
	k.want("1: 200", `1: "a" end`)
	g.wantCounts(counts{requests: 4})
	if s := g.pool.State(g.members["a"]); s.Ended != resource.DrainIdle {
		t.Errorf("the drain: %+v", s)
	}
}

func TestAFrontEndsHTTP2InOrder(t *testing.T) {
	g := newRig(t, drainsIn(patience))
	release := make(chan struct{})
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
		fmt.Fprint(w, "a")
	}))
	idle, busy := g.talk2(), g.talk2()
	idle.ask(1, true, "GET", "/")
	idle.want("1: 200", `1: "a" end`)
	busy.ask(1, true, "GET", "/slow")
	until(t, "it is in flight", func() bool { return g.pool.State(g.members["a"]).InFlight == 1 })
	g.front.Close()
	busy.ask(3, true, "GET", "/") // it was on its way
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.front.Finish(0)
	}()
	idle.want("GOAWAY 2147483647 NO_ERROR", "GOAWAY 1 NO_ERROR", "end")
	busy.want("GOAWAY 2147483647 NO_ERROR")
	busy.wantLater("GOAWAY 3 NO_ERROR", `3: "a" end`)
	close(release)
	busy.wantLater(`1: "a" end`)
	busy.want("end")
	<-ended
	g.wantCounts(counts{requests: 3})
}

// What is not finished at the drain's end is cut, looks so and is counted so.
func TestAFrontsDrainEnds(t *testing.T) {
	g := newRig(t, drainsIn(shortDrain))
	in := make(chan struct{}, 2)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			fmt.Fprint(w, "begun")
			_ = http.NewResponseController(w).Flush()
		}
		in <- struct{}{}
		<-r.Context().Done()
	}))
	k := g.talk2()
	k.ask(1, true, "GET", "/begun")
	k.want("1: 200", `1: "begun"`)
	k.ask(3, true, "GET", "/")
	<-in
	<-in
	began := time.Now()
	g.front.Close()
	g.front.Finish(0)
	if d := time.Since(began); d < shortDrain || d > shortDrain+3*time.Second {
		t.Errorf("it took %s", d)
	}
	said := map[string]bool{}
	for got := k.next(); got != "end"; got = k.next() {
		said[got] = true
	}
	if !said["1: RST_STREAM INTERNAL_ERROR"] || !said["3: 502"] {
		t.Errorf("the client heard %v", said)
	}
	g.wantCounts(counts{requests: 2, cut: 2})
}

// Instances come and go under many streams, and no request is lost.
func TestNoRequestIsLostByADeath(t *testing.T) {
	g := newRig(t)
	g.raw("steady", answers(200, "ok"))
	conn := g.client2()
	stop := make(chan struct{})
	var asked, lost atomic.Int64
	var clients sync.WaitGroup
	for range 30 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				if resp, got, err := do(t, conn, "GET", g.url("/"), nil); err != nil || resp.StatusCode != 200 || got != "ok" {
					lost.Add(1)
					t.Errorf("got %v, %q, %v", resp, got, err)
				}
			}
		})
	}
	for i := range 10 {
		b := g.raw(fmt.Sprint("b", i), answers(200, "ok"))
		until(t, "it has answered", func() bool { return b.requests.Load() > 20 })
		b.die()
	}
	close(stop)
	clients.Wait()
	got := countsOf(&g.counters)
	if lost.Load() > 0 || got.failed+got.cut+got.errors > 0 {
		t.Errorf("%d of %d were lost; counted %+v", lost.Load(), asked.Load(), got)
	}
	t.Logf("%+v", got)
}

// A client that takes its requests back costs no instance anything for long, and is sent away.
func TestRapidReset(t *testing.T) {
	g := newRig(t)
	g.serve("a", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	k := g.talk2()
	go func() { _, _ = io.Copy(io.Discard, k.conn) }()
	for id := uint32(1); id < 20000; id += 2 {
		k.block.Reset()
		_ = k.framer.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x82, 0x86, 0x84, 0x01, 1, 'a'}, EndStream: true, EndHeaders: true})
		_ = k.framer.WriteRSTStream(id, xhttp2.ErrCodeCancel)
	}
	_, _ = k.conn.Write(k.out.Bytes())
	until(t, "the connection is closed", func() bool { n, _ := g.front.Connections(); return n == 0 })
	until(t, "nothing is in flight", func() bool { return !g.pool.Busy() })
	if got := countsOf(&g.counters); got.failed+got.cut > 0 || got.requests > 2000 {
		t.Errorf("counted %+v", got)
	}
}

// A client that leaves frees what it held, and is nobody's failure.
func TestAnHTTP2ClientThatLeaves(t *testing.T) {
	g := newRig(t)
	leave := map[string]func(k *talker, id uint32){
		"by a reset": func(k *talker, id uint32) {
			_ = k.framer.WriteRSTStream(id, xhttp2.ErrCodeCancel)
			k.send()
		},
		"with its connection": func(k *talker, _ uint32) { k.conn.Close() },
	}
	n := uint64(0)
	for name, by := range leave {
		t.Run(name+" in the queue", func(t *testing.T) {
			k := g.talk2()
			k.ask(1, true, "GET", "/")
			until(t, "it waits", func() bool { return g.queue.Waiting() == 1 })
			by(k, 1)
			n++
			g.wantCounts(counts{requests: n})
		})
	}
	in := make(chan struct{})
	g.serve("a", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		in <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	for name, by := range leave {
		for _, body := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, body %v", name, body), func(t *testing.T) {
				k := g.talk2()
				k.ask(1, !body, "POST", "/")
				<-in
				by(k, 1)
				n++
				g.wantCounts(counts{requests: n})
				until(t, "nothing is in flight", func() bool { return !g.pool.Busy() })
			})
		}
	}
}

// A stream that its client does not read holds up no other, and ends.
func TestAStreamThatIsNotRead(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Limits.IdleTimeout = resource.Duration(300 * time.Millisecond) })
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = w.Write(make([]byte, 1<<20))
			return
		}
		fmt.Fprint(w, "a")
	}))
	k := g.talk2(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1})
	for id := uint32(1); id < 100; id += 2 {
		k.ask(id, true, "GET", "/large")
	}
	k.ask(101, true, "GET", "/")
	k.wantLater(`101: "a" end`)
	for range 50 {
		got := k.next()
		for !strings.Contains(got, "RST_STREAM") {
			got = k.next()
		}
		if !strings.HasSuffix(got, "CANCEL") {
			t.Fatalf("got %q", got)
		}
	}
	until(t, "nothing is in flight", func() bool { return !g.pool.Busy() })
	g.wantCounts(counts{requests: 51})
}

// Streams are limited one by one.
func TestEachStreamHasItsOwnTime(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Limits.RequestTimeout = resource.Duration(300 * time.Millisecond) })
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
		}
		fmt.Fprint(w, "a")
	}))
	k := g.talk2()
	k.ask(1, true, "GET", "/slow")
	for id := uint32(3); id < 2000; id += 2 {
		k.ask(id, true, "GET", "/")
		got := k.next()
		if got == "1: 504" {
			return
		}
		if got != fmt.Sprintf("%d: 200", id) || k.next() != fmt.Sprintf("%d: \"a\" end", id) {
			t.Fatalf("got %q", got)
		}
	}
	k.wantLater("1: 504")
}

func TestIdleConnectionsOfHTTP2End(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Limits.IdleTimeout = resource.Duration(100 * time.Millisecond) })
	g.raw("a", answers(200, "a"))
	k := g.talk2()
	k.ask(1, true, "GET", "/")
	k.want("1: 200", `1: "a" end`, "GOAWAY 2147483647 NO_ERROR", "GOAWAY 1 NO_ERROR", "end")
}
