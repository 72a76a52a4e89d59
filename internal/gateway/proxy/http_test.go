package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func seen(to chan<- *http.Request) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		to <- r
	})
}

func TestWhatABackendSeesOfARequest(t *testing.T) {
	cases := []struct {
		name    string
		trusted []string
		send    http.Header
		want    http.Header // empty values: must not be there
	}{
		{
			name: "a stranger's claims", send: http.Header{
				"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"1"},
				"Forwarded": {"for=6.6.6.6"}, "X_forwarded_for": {"6.6.6.6"}, "X-Other": {"a", "b"},
			},
			want: http.Header{
				"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"shop.example"}, "X-Forwarded-Proto": {"http"},
				"X-Forwarded-Port": nil, "Forwarded": nil, "X_forwarded_for": nil, "X-Other": {"a", "b"},
			},
		},
		{
			name: "a trusted proxy's", trusted: []string{"127.0.0.0/8"}, send: http.Header{
				"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Host": {"public"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"443"}, "Forwarded": {"for=1.2.3.4"},
			},
			want: http.Header{
				"X-Forwarded-For": {"1.2.3.4, 127.0.0.1"}, "X-Forwarded-Host": {"public"}, "X-Forwarded-Proto": {"https"},
				"X-Forwarded-Port": {"443"}, "Forwarded": nil,
			},
		},
		{
			name: "another network is trusted", trusted: []string{"10.0.0.0/8"}, send: http.Header{"X-Forwarded-For": {"1.2.3.4"}},
			want: http.Header{"X-Forwarded-For": {"127.0.0.1"}},
		},
		{
			name: "hop by hop", send: http.Header{
				"Connection": {"close, X-Mine, keep-alive"}, "X-Mine": {"1"}, "Keep-Alive": {"timeout=5"}, "Proxy-Authorization": {"Basic x"},
				"Proxy-Connection": {"keep-alive"}, "Te": {"gzip, trailers"}, "Authorization": {"Bearer x"}, "Upgrade": {"nothing"},
			},
			want: http.Header{
				"Connection": nil, "X-Mine": nil, "Keep-Alive": nil, "Proxy-Authorization": nil, "Proxy-Connection": nil,
				"Te": {"trailers"}, "Authorization": {"Bearer x"}, "Upgrade": nil,
			},
		},
		{
			name: "the console's session", send: http.Header{"Cookie": {"a=1; drover_session=secret; b=2", "drover_session=secret", "drover_sessions=mine"}},
			want: http.Header{"Cookie": {"a=1; b=2", "drover_sessions=mine"}},
		},
		{
			name: "an upgrade to HTTP/2", send: http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"x"}},
			want: http.Header{"Upgrade": nil, "Http2-Settings": nil, "Connection": nil},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, func(f *Config) {
				var err error
				if f.Trusted, err = ParseTrusted(c.trusted); err != nil {
					t.Fatal(err)
				}
			})
			requests := make(chan *http.Request, 1)
			g.serve("a", seen(requests))
			conn := g.dial()
			fmt.Fprintf(conn, "GET /a%%2fb/../c?q=1&r HTTP/1.1\r\nHost: shop.example\r\n")
			_ = c.send.Write(conn)
			fmt.Fprint(conn, "\r\n")
			r := <-requests
			if r.Host != "shop.example" || r.RequestURI != "/a%2fb/../c?q=1&r" {
				t.Errorf("the backend saw %s%s", r.Host, r.RequestURI)
			}
			for name, want := range c.want {
				got := r.Header[name]
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestWhatAClientSeesOfAnAnswer(t *testing.T) { overBoth(t, testWhatAClientSeesOfAnAnswer) }

func testWhatAClientSeesOfAnAnswer(t *testing.T, client protocol) {
	g := newRig(t)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Connection"] = []string{"X-Mine"}
		h.Set("X-Mine", "1")
		h.Set("X-Theirs", "2")
		h.Set("Keep-Alive", "timeout=5")
		h["Content-Type"] = nil
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		switch r.URL.Path {
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/not-modified":
			h.Set("Etag", `"x"`)
			w.WriteHeader(http.StatusNotModified)
		default:
			fmt.Fprint(w, "<html>")
		}
	}))
	c := client(g)
	for path, want := range map[string]int{"/": 200, "/none": 204, "/not-modified": 304} {
		for _, method := range []string{"GET", "HEAD"} {
			resp, body, err := do(t, c, method, g.url(path), nil)
			if err != nil {
				t.Fatal(err)
			}
			h := resp.Header
			if resp.StatusCode != want || h.Get("X-Mine") != "" || h.Get("X-Theirs") != "2" || h.Get("Keep-Alive") != "" {
				t.Errorf("%s %s: %d %v", method, path, resp.StatusCode, h)
			}
			if len(h["Set-Cookie"]) != 2 || h.Get("Content-Type") != "" {
				t.Errorf("%s %s: %v", method, path, h)
			}
			if method == "HEAD" && body != "" || path == "/" && resp.ContentLength != 6 {
				t.Errorf("%s %s: body %q, length %d", method, path, body, resp.ContentLength)
			}
		}
	}
}

func TestTrailersPassBothWays(t *testing.T) { overBoth(t, testTrailersPassBothWays) }

func testTrailersPassBothWays(t *testing.T, client protocol) {
	g := newRig(t)
	got := make(chan http.Header, 1)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r.Trailer
		w.Header().Set("Trailer", "X-Announced")
		fmt.Fprint(w, "body")
		w.Header().Set("X-Announced", "1")
		w.Header().Set(http.TrailerPrefix+"X-Surprise", "2")
	}))
	q, _ := http.NewRequestWithContext(t.Context(), "POST", g.url("/"), io.NopCloser(strings.NewReader("body")))
	q.Trailer = http.Header{"X-Sum": {"abc"}}
	resp, err := client(g).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if sum := <-got; sum.Get("X-Sum") != "abc" {
		t.Errorf("the backend saw the trailers %v", sum)
	}
	if resp.Trailer.Get("X-Announced") != "1" || resp.Trailer.Get("X-Surprise") != "2" {
		t.Errorf("the client saw the trailers %v", resp.Trailer)
	}
}

// A program that adds trailers to the headers must not be told through them what
// a header may not tell it.
func TestTrailersHoldNothingThatOnlyAHeadMayHold(t *testing.T) {
	g := newRig(t)
	got := make(chan http.Header, 1)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r.Trailer
		_ = http.NewResponseController(w).Flush() // so that it is sent in chunks
		for _, name := range []string{"X-Sum", "Content-Length", "Set-Cookie"} {
			w.Header().Set(http.TrailerPrefix+name, "1")
		}
	}))
	conn := g.dial()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTrailer: X-Sum, Cookie, X-Forwarded-For\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"0\r\nX-Sum: 1\r\nCookie: drover_session=x\r\nX-Forwarded-For: 6.6.6.6\r\nContent-Length: 3\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, trailers, _ := strings.Cut(string(answer), "\r\n\r\n")
	if trailers != "0\r\nX-Sum: 1\r\n\r\n" {
		t.Errorf("the client got %q", answer)
	}
	if sent := <-got; !reflect.DeepEqual(sent, http.Header{"X-Sum": {"1"}}) {
		t.Errorf("the backend got the trailers %v", sent)
	}
}

func TestInterimAnswersPass(t *testing.T) { overBoth(t, testInterimAnswersPass) }

func testInterimAnswersPass(t *testing.T, client protocol) {
	g := newRig(t)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		fmt.Fprint(w, "done")
	}))
	var interim []int
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if h.Get("Link") == "" {
			t.Error("the early hint is empty")
		}
		interim = append(interim, code)
		return nil
	}}
	q, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", g.url("/"), nil)
	resp, err := client(g).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if !reflect.DeepEqual(interim, []int{103}) || resp.Header.Get("Link") != "" {
		t.Errorf("interim answers %v, then %v", interim, resp.Header)
	}
}

func TestExpectContinueIsBetweenClientAndBackend(t *testing.T) {
	g := newRig(t)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d bytes", len(body))
	}))
	const head = "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	conn := g.dial()
	r := bufio.NewReader(conn)
	fmt.Fprintf(conn, head, "/")
	if line, _ := r.ReadString('\n'); !strings.Contains(line, "100") {
		t.Fatalf("the backend wanted the body, the client was told %q", line)
	}
	_, _ = r.ReadString('\n')
	fmt.Fprint(conn, "body")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "4 bytes" {
		t.Errorf("got %q", body)
	}
	conn = g.dial()
	r = bufio.NewReader(conn)
	fmt.Fprintf(conn, head, "/refused")
	resp, err = http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("the backend did not want the body: got %v, %v", resp, err)
	}
}

func TestConnectIsRefusedAndNoRouteIs404(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Routes = NewRoutes([]Route{{Host: "only.example"}}) })
	conn := g.dial()
	fmt.Fprint(conn, "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("CONNECT: %v, %v", resp, err)
	}
	if resp, _, err := do(t, g.client(), "GET", g.url("/"), nil); err != nil || resp.StatusCode != 404 {
		t.Errorf("no route: %v, %v", resp, err)
	}
}

func TestAnAnswerIsPassedOnAsItComes(t *testing.T) { overBoth(t, testAnAnswerIsPassedOnAsItComes) }

func testAnAnswerIsPassedOnAsItComes(t *testing.T, client protocol) {
	g := newRig(t)
	next := make(chan struct{})
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	}))
	resp, err := client(g).Get(g.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 64)
	for i := range 3 {
		n, err := resp.Body.Read(buf)
		if want := fmt.Sprintf("data: %d\n\n", i); err != nil || string(buf[:n]) != want {
			t.Fatalf("event %d: %q, %v", i, buf[:n], err)
		}
		next <- struct{}{}
	}
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		t.Errorf("at the end: %q, %v", rest, err)
	}
	g.wantCounts(counts{requests: 1})
}

func TestAnUploadIsPassedOnAsItComes(t *testing.T) { overBoth(t, testAnUploadIsPassedOnAsItComes) }

func testAnUploadIsPassedOnAsItComes(t *testing.T, client protocol) {
	g := newRig(t)
	arrived := make(chan string)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := make([]byte, 64)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				arrived <- string(buf[:n])
			}
			if err != nil {
				break
			}
		}
		fmt.Fprint(w, "thanks")
	}))
	pr, pw := io.Pipe()
	q, _ := http.NewRequestWithContext(t.Context(), "POST", g.url("/"), pr)
	done := make(chan string, 1)
	go func() {
		resp, err := client(g).Do(q)
		if err != nil {
			done <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		done <- string(body)
	}()
	for _, part := range []string{"one", "two", "three"} {
		fmt.Fprint(pw, part)
		if got := <-arrived; got != part {
			t.Errorf("got %q, want %q", got, part)
		}
	}
	pw.Close()
	if got := <-done; got != "thanks" {
		t.Errorf("answered %q", got)
	}
}

func TestBothDirectionsAtOnce(t *testing.T) { overBoth(t, testBothDirectionsAtOnce) }

func testBothDirectionsAtOnce(t *testing.T, client protocol) {
	g := newRig(t)
	g.serve("a", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		_ = rc.Flush()
		buf := make([]byte, 64)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(bytes.ToUpper(buf[:n]))
			_ = rc.Flush()
			if err != nil {
				return
			}
		}
	}))
	pr, pw := io.Pipe()
	q, _ := http.NewRequestWithContext(t.Context(), "POST", g.url("/"), pr)
	resp, err := client(g).Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	buf := make([]byte, 64)
	for _, part := range []string{"one", "two", "three"} {
		fmt.Fprint(pw, part)
		n, err := io.ReadFull(resp.Body, buf[:len(part)])
		if err != nil || string(buf[:n]) != strings.ToUpper(part) {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
	}
	pw.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	g.wantCounts(counts{requests: 1})
}

// A backend that answers an upload before it has read it is heard, whether it
// goes on reading, stops reading, or hangs up.
func TestAnEarlyAnswerToAnUpload(t *testing.T) {
	reply := "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n"
	cases := map[string]func(c net.Conn, r *bufio.Reader){
		"and stops reading": func(c net.Conn, r *bufio.Reader) {
			fmt.Fprint(c, reply+"\r\nno")
			<-time.After(200 * time.Millisecond)
		},
		"and hangs up in order": func(c net.Conn, r *bufio.Reader) {
			fmt.Fprint(c, reply+"Connection: close\r\n\r\nno")
			_ = c.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, r)
		},
	}
	for name, reaction := range cases {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			g.add("a", l.Addr().String())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				r := bufio.NewReader(c)
				if _, err := http.ReadRequest(r); err == nil {
					reaction(c, r)
				}
			}()
			conn := g.dial()
			fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
			go func() {
				_, _ = conn.Write(make([]byte, 300000)) // and no more: the client waits
			}()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 403 || string(body) != "no" || !resp.Close {
				t.Errorf("got %d %q, %v, close: %v", resp.StatusCode, body, err, resp.Close)
			}
			<-ended
			g.wantCounts(counts{requests: 1})
		})
	}
}
