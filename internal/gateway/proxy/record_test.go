package proxy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/resource"
)

// logged has the front write an access log, and returns what reads it once all that
// was asked is told.
func logged(t *testing.T) (change func(*Config), read func(g *rig, n int) []map[string]any) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "access.log")
	l := accesslog.New("front", accesslog.Options{Secret: func(name string) bool { return name == "token" }, TokenPrefix: "drv_"})
	l.Configure(&accesslog.Target{AccessLog: resource.AccessLog{File: file, MaxBytes: 1 << 30, Keep: 1}})
	t.Cleanup(l.Close)
	return func(c *Config) { c.Log = l }, func(g *rig, n int) []map[string]any {
		g.t.Helper()
		var list []map[string]any
		until(g.t, fmt.Sprintf("%d lines", n), func() bool {
			text, _ := os.ReadFile(file)
			return bytes.Count(text, []byte("\n")) >= n
		})
		text, _ := os.ReadFile(file)
		for line := range bytes.Lines(text) {
			var m map[string]any
			if err := json.Unmarshal(line, &m); err != nil {
				g.t.Fatalf("%v: %s", err, line)
			}
			list = append(list, m)
		}
		if len(list) != n {
			g.t.Errorf("%d lines instead of %d: %s", len(list), n, text)
		}
		return list
	}
}

// pick is what of a line is always the same.
func pick(m map[string]any) map[string]any {
	m = maps.Clone(m)
	for _, name := range []string{"time", "durationMs", "firstByteMs", "queueMs", "balancer", "client", "host", "userAgent"} {
		delete(m, name)
	}
	return m
}

func TestEveryRequestIsLogged(t *testing.T) {
	const ok = "GET /a?b=c&token=x HTTP/1.1\r\nHost: Shop.example:80\r\nUser-Agent: me/1\r\nCookie: session=s3cr3t\r\nAuthorization: Bearer s3cr3t\r\n\r\n"
	answered := func(more map[string]any) map[string]any {
		m := map[string]any{
			"method": "GET", "path": "/a?b=c&token=[redacted]", "protocol": "HTTP/1.1", "status": 200.0, "bytesIn": 0.0, "bytesOut": 5.0,
			"set": "hello", "version": "1.0.0", "instance": "a", "attempts": 1.0, "outcome": "answered",
		}
		for k, v := range more {
			if m[k] = v; v == nil {
				delete(m, k)
			}
		}
		return m
	}
	for _, c := range []struct {
		name    string
		act     act
		request string
		want    map[string]any
	}{
		{"answered", answers(200, "hello"), ok, answered(nil)},
		{"HTTP/1.0", answers(200, "hello"), "GET / HTTP/1.0\r\nHost: a\r\n\r\n", answered(map[string]any{"protocol": "HTTP/1.0", "path": "/"})},
		{"chunks", writes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n", hangsUp), ok, answered(map[string]any{"bytesOut": 8.0})},
		{"a small body", answers(500, "sorry"), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", answered(map[string]any{"method": "POST", "path": "/", "bytesIn": 3.0, "status": 500.0})},
		{"a body in chunks", answers(200, "hello"), "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n", answered(map[string]any{"method": "PUT", "path": "/", "bytesIn": 7.0})},
		{"a large answer", answers(200, strings.Repeat("x", 4<<20)), ok, answered(map[string]any{"bytesOut": float64(4 << 20)})},
		{"HEAD", answers(200, ""), "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", answered(map[string]any{"method": "HEAD", "path": "/", "bytesOut": 0.0})},
		{"no answer", hangsUp, "POST / HTTP/1.1\r\nHost: a\r\n\r\n", answered(map[string]any{"method": "POST", "path": "/", "bytesOut": 0.0, "status": 502.0, "outcome": "failed"})},
		{"half an answer", writes("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", hangsUp), ok, answered(map[string]any{"outcome": "failed"})},
		{"the process died", writes("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", dies), ok, answered(map[string]any{"outcome": "cut"})},
		{"too large", answers(200, "hello"), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", answered(map[string]any{
			"method": "POST", "path": "/", "bytesOut": 0.0, "status": 413.0, "outcome": "refused", "version": nil, "instance": nil, "attempts": 0.0,
		})},
		{"no route", answers(200, "hello"), "GET /none HTTP/1.1\r\nHost: other\r\n\r\n", answered(map[string]any{
			"path": "/none", "bytesOut": 0.0, "status": 404.0, "outcome": "refused", "set": nil, "version": nil, "instance": nil, "attempts": 0.0,
		})},
		{"CONNECT", answers(200, "hello"), "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", map[string]any{
			"method": "CONNECT", "protocol": "HTTP/1.1", "status": 405.0, "bytesIn": 0.0, "bytesOut": 0.0, "attempts": 0.0, "outcome": "refused",
		}},
		{"not understood", answers(200, "hello"), "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", map[string]any{
			"status": 400.0, "bytesIn": 0.0, "bytesOut": 0.0, "attempts": 0.0, "outcome": "refused",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			change, read := logged(t)
			g := newRig(t, change, func(config *Config) { config.Limits.MaxBodyBytes = 1000 })
			config := *g.config
			config.Routes = NewRoutes([]Route{{Host: "shop.example", Pool: g.pool, Set: "hello"}, {Host: "a", Pool: g.pool, Set: "hello"}})
			g.front.Configure(&config)
			g.raw("a", c.act)
			conn := g.dial()
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			go io.Copy(io.Discard, conn) // ends with the connection
			line := read(g, 1)[0]
			if diff := cmp.Diff(c.want, pick(line)); diff != "" {
				t.Error(diff)
			}
			if line["balancer"] != "front" || line["client"] != "127.0.0.1" {
				t.Errorf("%v", line)
			}
			if c.request == ok && (line["host"] != "Shop.example:80" || line["userAgent"] != "me/1") {
				t.Errorf("%v", line)
			}
			if text := fmt.Sprint(line); strings.Contains(text, "s3cr3t") {
				t.Errorf("the line has a secret: %s", text)
			}
		})
	}
}

func TestTimesAttemptsAndForwardersAreLogged(t *testing.T) {
	change, read := logged(t)
	g := newRig(t, change, func(c *Config) {
		c.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.QueueTimeout = patience
	})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		req, _ := http.NewRequest("GET", g.url("/"), nil)
		req.Header.Set("X-Forwarded-For", "10.1.2.3")
		if resp, err := g.client().Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	until(t, "the request waits", func() bool { return g.queue.Waiting() == 1 })
	<-time.After(30 * time.Millisecond)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-time.After(20 * time.Millisecond)
		fmt.Fprint(w, "hello")
	}))
	<-asked
	line := read(g, 1)[0]
	ms := func(name string) float64 { v, _ := line[name].(float64); return v }
	if ms("queueMs") < 30 || ms("firstByteMs") < ms("queueMs")+20 || ms("durationMs") < ms("firstByteMs") {
		t.Errorf("times are wrong: %v", line)
	}
	if line["forwardedFor"] != "10.1.2.3" || line["outcome"] != "answered" {
		t.Errorf("%v", line)
	}
}

func TestARequestThatWasSentAgainIsLoggedOnce(t *testing.T) {
	change, read := logged(t)
	g := newRig(t, change)
	a := g.raw("a", hangsUp)
	g.serve("b", named("b"))
	n := 0
	for ; a.requests.Load() == 0; n++ {
		resp, err := g.client().Get(g.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	line := read(g, n)[n-1]
	if line["attempts"] != 2.0 || line["instance"] != "b" || line["outcome"] != "answered" {
		t.Errorf("%v", line)
	}
}

// What has become something else is logged at its end, by what its request said.
func TestAStreamIsLoggedAtItsEnd(t *testing.T) {
	change, read := logged(t)
	g := newRig(t, change)
	g.serve("a", http.HandlerFunc(echo))
	c := g.websocket()
	talkOver(t, c, strings.Repeat("x", 100_000))
	other := g.websocket() // which may have the buffer that the first one's request was in
	_ = c.CloseNow()
	line := read(g, 1)[0]
	if line["status"] != 101.0 || line["path"] != "/" || line["method"] != "GET" || !strings.HasPrefix(fmt.Sprint(line["userAgent"]), "Go-http-client") {
		t.Errorf("%v", line)
	}
	if line["bytesIn"].(float64) < 100_000 || line["bytesOut"].(float64) < 100_000 || line["outcome"] == "ended" {
		t.Errorf("%v", line)
	}
	_ = other.CloseNow()
	read(g, 2)
}

func TestWhatIsToldOutlivesTheBuffer(t *testing.T) {
	buf := []byte("GET /a?b HTTP/1.1\r\nHost: shop\r\nUser-Agent: me\r\nX-Forwarded-For: 10.1.2.3\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
	var r h1.Request
	if n, err := r.Parse(buf, &h1.Limits{Bytes: 1000, Fields: 10}); n == 0 || err != nil {
		t.Fatal(err)
	}
	detach(&r)
	for i := range buf {
		buf[i] = '#'
	}
	told := fmt.Sprintf("%s %s%s %s %s %s %s", r.Method, r.Path, r.Query, r.Host, r.Upgrade, first(&r, h1.UserAgent), first(&r, h1.XForwardedFor))
	if told != "GET /a?b shop x me 10.1.2.3" {
		t.Errorf("it became %q", told)
	}
}
