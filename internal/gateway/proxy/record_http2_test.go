package proxy

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// By HTTP/2 and TLS a line has what it has otherwise, and the cookie of affinity works.
func TestRequestsByHTTP2AreLogged(t *testing.T) {
	change, read := logged(t)
	g := secureRig(t, change, sticky)
	for _, name := range []string{"a", "b"} {
		g.withKey(g.serve(name, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusEarlyHints)
			fmt.Fprint(w, name, strings.Repeat("x", 999_999))
		})))
	}
	c := g.client()
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	var cookie, first string
	for n := range 5 {
		req, err := http.NewRequest("POST", g.url("/a?b=c&token=x"), io.MultiReader(strings.NewReader("body of unknown length")))
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Cookie"] = []string{"x=y; at=" + cookie + "; z=1"}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.ProtoMajor != 2 || len(body) != 1_000_000 {
			t.Fatalf("%s, %d bytes, %v", resp.Proto, len(body), err)
		}
		if set := resp.Cookies(); n == 0 && len(set) == 1 && set[0].Name == "at" && set[0].Secure && set[0].HttpOnly {
			cookie, first = set[0].Value, string(body[:1])
		} else if n == 0 || len(set) > 0 {
			t.Fatalf("given %v", resp.Header)
		}
		if string(body[:1]) != first {
			t.Errorf("went to %s instead of %s", body[:1], first)
		}
	}
	for _, line := range read(g, 5) {
		want := map[string]any{
			"method": "POST", "path": "/a?b=c&token=[redacted]", "protocol": "HTTP/2", "tls": "TLS 1.3", "status": 200.0, "bytesIn": 22.0, "bytesOut": 1e6,
			"version": "1.0.0", "instance": first, "attempts": 1.0, "outcome": "answered",
		}
		if diff := cmp.Diff(want, pick(line)); diff != "" {
			t.Error(diff)
		}
	}
}

// What no instance is asked has its line, too, and what its client gives up.
func TestHTTP2RequestsThatAreNotAnsweredAreLogged(t *testing.T) {
	change, read := logged(t)
	g := newRig(t, change)
	b := g.raw("a", answers(200, "ok"))
	k := g.talk2()
	k.ask(1, true, "GET", "/%")
	k.ask(3, true, "CONNECT", "")
	k.ask(5, true, "GET", "/")
	k.wantLater(`5: "ok" end`)
	g.front.Configure(&Config{Name: "front", Log: g.config.Log, Redirect: &Redirect{}, Limits: g.config.Limits})
	k.ask(7, true, "GET", "/r")
	k.wantLater("7: 308 end")
	got := map[string]int{}
	for _, line := range read(g, 4) {
		got[fmt.Sprint(line["protocol"], " ", line["status"], " ", line["outcome"])]++
	}
	want := map[string]int{"<nil> 400 refused": 1, "HTTP/2 405 refused": 1, "HTTP/2 200 answered": 1, "HTTP/2 308 answered": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := b.requests.Load(); n != 1 {
		t.Errorf("%d requests reached the instance", n)
	}
}

func TestRedirectsAreLogged(t *testing.T) {
	change, read := logged(t)
	g := newRig(t, change, func(c *Config) { c.Redirect = &Redirect{} })
	g.talk("GET /a?token=x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	g.talk("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	var got []string
	for _, line := range read(g, 2) {
		got = append(got, fmt.Sprint(line["path"], " ", line["status"], " ", line["outcome"]))
	}
	if want := []string{"/a?token=[redacted] 308 answered", "* 400 refused"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
