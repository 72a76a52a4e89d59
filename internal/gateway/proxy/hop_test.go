package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// talk sends bytes as they are on a connection of its own, and returns all that
// comes back until it is closed.
func (g *rig) talk(request string) string {
	g.t.Helper()
	conn := g.dial()
	if _, err := io.WriteString(conn, request); err != nil {
		g.t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(answer)
}

// What Connection names is between two neighbours, whatever else it says.
func TestWhatConnectionNamesIsNotPassedOn(t *testing.T) {
	for _, connection := range []string{
		"X-Mine", "close, X-Mine", "X-Mine, close", "keep-alive, x-mine", "Close,X-MINE", "close\r\nConnection: X-Mine",
	} {
		t.Run(connection, func(t *testing.T) {
			g := newRig(t)
			long := strings.Repeat("x", 8<<10) // more than is read at once
			g.raw("a", writes("HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"+
				"HTTP/1.1 200 OK\r\nX-Long: "+long+"\r\nConnection: "+connection+"\r\nX-Mine: 1\r\nX-Theirs: 2\r\nContent-Length: 2\r\n\r\nok", hangsUp))
			answer := g.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			if strings.Contains(answer, "X-Mine") || !strings.Contains(answer, "X-Theirs: 2") || !strings.HasSuffix(answer, "\r\n\r\nok") {
				t.Errorf("the client got %q", strings.ReplaceAll(answer, long, "…"))
			}

			g = newRig(t)
			got := make(chan *http.Request, 1)
			g.serve("a", seen(got))
			g.talk("GET / HTTP/1.1\r\nHost: a\r\nConnection: " + connection + "\r\nX-Mine: 1\r\nX-Theirs: 2\r\nConnection: close\r\n\r\n")
			if h := (<-got).Header; h.Get("X-Mine") != "" || h.Get("X-Theirs") != "2" {
				t.Errorf("the backend got %v", h)
			}
		})
	}
}

// HTTP/1.0 knows neither interim answers, nor upgrades, nor expectations.
func TestWhatAnOldClientIsSpared(t *testing.T) {
	g := newRig(t)
	g.raw("a", writes("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", answers(200, "ok")))
	if answer := g.talk("GET / HTTP/1.0\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.0 200") || strings.Contains(answer, "103") {
		t.Errorf("an old client got %q", answer)
	}
	g = newRig(t)
	got := make(chan *http.Request, 2)
	g.serve("a", seen(got))
	g.talk("GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	g.talk("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok")
	for range 2 {
		if h := (<-got).Header; h.Get("Upgrade") != "" || h.Get("Expect") != "" {
			t.Errorf("the backend got %v", h)
		}
	}
	g.wantCounts(counts{requests: 2})
}

// A target that is no path would pass the routes by.
func TestATargetThatIsNoPathIsRefused(t *testing.T) {
	g := newRig(t)
	b := g.raw("a", answers(200, "ok"))
	for line, want := range map[string]int{
		"GET a:b HTTP/1.1":           400,
		"GET mailto:/admin HTTP/1.1": 400,
		"GET * HTTP/1.1":             400,
		"OPTIONS * HTTP/1.1":         200,
		"GET http://a/x HTTP/1.1":    200,
		"GET http://a HTTP/1.1":      200,
		"GET //a/x HTTP/1.1":         200,
	} {
		answer := g.talk(line + "\r\nHost: a\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", want)) {
			t.Errorf("%s: %q", line, answer)
		}
	}
	if n := b.requests.Load(); n != 4 {
		t.Errorf("%d requests arrived", n)
	}
}

// How long a message is must have one meaning only.
func TestAmbiguousRequestsAreNotPassedOn(t *testing.T) {
	const head = "POST / HTTP/1.1\r\nHost: a\r\n"
	for name, text := range map[string]string{
		"two lengths":                 head + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
		"a length that is none":       head + "Content-Length: +4\r\n\r\nabcd",
		"an unknown coding":           head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"two codings":                 head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a coding with a tab":         head + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
		"a space before a colon":      head + "Content-Length : 4\r\n\r\nabcd",
		"a folded first line":         "POST / HTTP/1.1\r\n Host: a\r\n\r\n",
		"a lone CR in a header":       head + "Content-Length: 0\r\nX-A: b\rX-C: d\r\n\r\n",
		"two hosts":                   head + "Host: b\r\n\r\n",
		"a length and a coding":       head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
		"a chunk's size that is none": head + "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			b := g.raw("a", answers(200, "ok"))
			conn := g.dial()
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil && resp.StatusCode < 400 {
				t.Errorf("it was answered %s", resp.Status)
			}
			if b.requests.Load() > 0 {
				t.Error("it was passed on")
			}
		})
	}
}
