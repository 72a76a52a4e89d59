package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/testtool"
)

func TestUpgradesAreRefusedBeforeHTTP2(t *testing.T) {
	g := newRig(t, h2c)
	b := g.raw2("a", answers2(200, "ok"))
	answer := g.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 501 ") || !strings.Contains(answer, "backendProtocol: h2c") {
		t.Errorf("got %q", answer)
	}
	if n := b.requests.Load(); n > 0 {
		t.Error("it was passed on")
	}
}

// What an instance is sent by HTTP/2, from clients of either protocol.
func TestWhatIsPassedOnByHTTP2(t *testing.T) {
	for _, front := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(front, func(t *testing.T) {
			g := newRig(t, h2c)
			got := make(chan *http.Request, 1)
			g.serve2("a", seen(got))
			c := g.client()
			if front == "HTTP/2" {
				c = g.client2()
			}
			resp, _, err := do(t, c, "GET", g.url("/a%20b?c=d"), nil, "Te", "trailers", "Cookie", "a=b; drover_session=secret; c=d",
				"X-Forwarded-For", "6.6.6.6", "Connection", "X-Mine", "X-Mine", "1", "X-Theirs", "2")
			if front == "HTTP/2" {
				resp, _, err = do(t, c, "GET", g.url("/a%20b?c=d"), nil, "Te", "trailers", "Cookie", "a=b; drover_session=secret; c=d",
					"X-Forwarded-For", "6.6.6.6", "X-Theirs", "2")
			}
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("got %v, %v", resp, err)
			}
			r := <-got
			if r.ProtoMajor != 2 || r.Method != "GET" || r.RequestURI != "/a%20b?c=d" || r.Host != g.address {
				t.Errorf("got %s %s %s of %s", r.Proto, r.Method, r.RequestURI, r.Host)
			}
			for name, want := range map[string]string{
				"Te": "trailers", "Cookie": "a=b; c=d", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": g.address, "X-Forwarded-Proto": "http",
				"X-Mine": "", "X-Theirs": "2", "Connection": "",
			} {
				if v := r.Header.Get(name); v != want {
					t.Errorf("%s is %q, want %q", name, v, want)
				}
			}
		})
	}
}

// What an answer by HTTP/2 is to a client of HTTP/1.1.
func TestAnswersByHTTP2ForClientsOfHTTP1(t *testing.T) {
	for name, c := range map[string]struct {
		answer  act2
		request string
		want    []string
	}{
		"an end that comes with the head": {says2(":status", "200"), "GET", []string{"HTTP/1.1 200 OK\r\n", "Content-Length: 0\r\n"}},
		"to HEAD":                         {says2(":status", "200", "content-length", "7"), "HEAD", []string{"content-length: 7\r\n"}},
		"no content":                      {says2(":status", "204"), "GET", []string{"HTTP/1.1 204 No Content\r\n"}},
		"interim ones": {func(c *conn2, id uint32) bool {
			c.headers(id, false, ":status", "103", "link", "a")
			return answers2(200, "ok")(c, id)
		}, "GET", []string{"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nok"}},
		"trailers": {func(c *conn2, id uint32) bool {
			c.headers(id, false, ":status", "200", "trailer", "x-sum")
			_ = c.WriteData(id, false, []byte("ok"))
			c.headers(id, true, "x-sum", "2")
			return true
		}, "GET", []string{"Transfer-Encoding: chunked\r\n", "Trailer: x-sum\r\n", "2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, h2c)
			g.raw2("a", c.answer)
			answer := g.talk(c.request + " / HTTP/1.1\r\nHost: a\r\nTe: trailers\r\nConnection: close\r\n\r\n")
			for _, want := range c.want {
				if !strings.Contains(answer, want) {
					t.Errorf("no %q in %q", want, answer)
				}
			}
		})
	}
}

// A client that leaves takes its stream with it, not the connection.
func TestAClientThatLeavesHasItsStreamCancelled(t *testing.T) {
	g := newRig(t, h2c)
	gone := make(chan struct{})
	g.serve2("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
			close(gone)
		}
	}))
	conn := g.dial()
	fmt.Fprintf(conn, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	until(t, "it is on its way", func() bool { return g.pool.Busy() })
	conn.Close()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("the instance was not told")
	}
	if resp, _, err := do(t, g.client(), "GET", g.url("/"), nil); err != nil || resp.StatusCode != 200 {
		t.Errorf("got %v, %v", resp, err)
	}
}

// Clients that read nothing hold up nobody whose answers come over the same connection.
func TestSlowClientsHoldUpNobodyOverHTTP2(t *testing.T) {
	g := newRig(t, h2c)
	g.serve2("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/large" {
			return
		}
		for range 1 << 10 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	for range 40 {
		fmt.Fprintf(g.dial(), "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	until(t, "they are on their way", func() bool { return g.pool.State(g.members["a"]).InFlight == 40 })
	c := g.client()
	for range 200 {
		if resp, _, err := do(t, c, "GET", g.url("/"), nil); err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
	}
	if n := len(g.front.connections(nil)); n < 40 {
		t.Errorf("only %d are left", n)
	}
}

// An answer that comes before the request has ended is whole.
func TestEarlyAnswersByHTTP2(t *testing.T) {
	for name, end := range map[string]act2{
		"and the rest is not wanted": func(c *conn2, id uint32) bool { _ = c.WriteRSTStream(id, xhttp2.ErrCodeNo); return true },
		"and nothing more is said":   func(*conn2, uint32) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, h2c)
			b := g.raw2("a", answers2(200, "never"))
			b.early = func(c *conn2, id uint32) { answers2(413, "too much")(c, id); end(c, id) }
			conn := g.dial()
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin")
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != 413 {
				t.Fatalf("got %v, %v", resp, err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "too much" {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
}

// A drain ends no client's connection and cuts what is there at its end; nothing new
// reaches who drains.
func TestADrainOverHTTP2(t *testing.T) {
	g := newRig(t, h2c, func(c *Config) { c.DrainTimeout = 200 * time.Millisecond })
	handler := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				<-r.Context().Done()
			}
			fmt.Fprint(w, name)
		})
	}
	a := g.serve2("a", handler("a"))
	c := g.client2()
	var slow sync.WaitGroup
	slow.Go(func() {
		if resp, _, err := do(t, c, "GET", g.url("/slow"), nil); err != nil || resp.StatusCode != 502 {
			t.Errorf("the slow one got %v, %v", resp, err)
		}
	})
	until(t, "it is there", func() bool { return g.pool.State(a).InFlight == 1 })
	g.serve2("b", handler("b"))
	g.pool.Admit(a, resource.AdmissionDraining)
	a.Backend.Retire(true)
	for range 20 {
		if _, by, err := do(t, c, "GET", g.url("/"), nil); err != nil || by != "b" {
			t.Fatalf("got %q, %v", by, err)
		}
	}
	slow.Wait()
	g.wantCounts(counts{requests: 21, cut: 1})
	if s := g.pool.State(a); s.Ended != resource.DrainTimeout {
		t.Errorf("the drain ended %q", s.Ended)
	}
}

// Another protocol is for requests that begin afterwards.
func TestTheProtocolChangesUnderRequests(t *testing.T) {
	g := newRig(t)
	release := make(chan struct{})
	var protocols sync.Map
	g.serveBoth("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols.Store(r.URL.Path, r.Proto)
		if r.URL.Path == "/slow" {
			<-release
		}
	}))
	done := make(chan error, 1)
	go func() {
		resp, _, err := do(t, g.client(), "GET", g.url("/slow"), nil)
		if err == nil && resp.StatusCode != 200 {
			err = fmt.Errorf("got %s", resp.Status)
		}
		done <- err
	}()
	until(t, "it is there", func() bool { _, ok := protocols.Load("/slow"); return ok })
	next := *g.config
	next.H2C = true
	g.front.Configure(&next)
	if resp, _, err := do(t, g.client(), "GET", g.url("/next"), nil); err != nil || resp.StatusCode != 200 {
		t.Fatalf("got %v, %v", resp, err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	slow, _ := protocols.Load("/slow")
	quick, _ := protocols.Load("/next")
	if slow != "HTTP/1.1" || quick != "HTTP/2.0" {
		t.Errorf("by %v and %v", slow, quick)
	}
}

// nghttpd is another program's idea of HTTP/2.
func TestNghttpd(t *testing.T) {
	testtool.Require(t, "nghttpd")
	dir := t.TempDir()
	content := strings.Repeat("0123456789", 100_000)
	writeFile(t, dir+"/file", content)
	port := freePort(t)
	cmd := exec.Command("nghttpd", "--no-tls", "--address=127.0.0.1", "-d", dir, "--trailer", "x-sum: 1", port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	g := newRig(t, h2c)
	g.add("a", "127.0.0.1:"+port)
	until(t, "it listens", func() bool { return dials("127.0.0.1:" + port) })
	for _, c := range []*http.Client{g.client(), g.client2()} {
		var all sync.WaitGroup
		for range 120 { // more than the streams that it takes on a connection
			all.Go(func() {
				resp, body, err := do(t, c, "GET", g.url("/file"), nil, "Te", "trailers")
				if err != nil || resp.StatusCode != 200 || body != content {
					t.Errorf("got %v, %d bytes, %v", resp, len(body), err)
				}
			})
		}
		all.Wait()
		if resp, _, err := do(t, c, "GET", g.url("/none"), nil); err != nil || resp.StatusCode != 404 {
			t.Errorf("got %v, %v", resp, err)
		}
	}
}
