package proxy

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestRedirect(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Redirect = &Redirect{Port: ":8443"} })
	g.raw("a", answers(200, "not for plain HTTP"))
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n":                                     "308 https://shop.example:8443/",
		"GET /a%2fb/../c?d=e&f HTTP/1.1\r\nHost: shop.example:8079\r\n\r\n":                "308 https://shop.example:8443/a%2fb/../c?d=e&f",
		"HEAD //elsewhere.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n":                 "308 https://shop.example:8443//elsewhere.example/",
		"GET http://other.example/a HTTP/1.1\r\nHost: shop.example\r\n\r\n":                "308 https://other.example:8443/a",
		"POST /a HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 5\r\n\r\nhello":             "308 https://[::1]:8443/a",
		"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n": "308 https://a:8443/a",
		"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n": "308 https://a:8443/ws",
		"GET / HTTP/1.0\r\n\r\n":                        "400 ",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n":         "400 ",
		"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n": "405 ",
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":  "400 ",
		"GET / HTTP/1.1\r\nHost: a b\r\n\r\n":           "400 ",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": "400 ",
	} {
		conn := g.dial()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		method, _, _ := strings.Cut(request, " ")
		resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
		if err != nil {
			t.Errorf("%q: %v", request, err)
			continue
		}
		if got := resp.Status[:4] + resp.Header.Get("Location"); got != want {
			t.Errorf("%q: got %q, want %q", request, got, want)
		}
		conn.Close()
	}
	if n := g.versions.Read().Requests + g.unserved.Read().Requests; n > 0 {
		t.Errorf("%d requests were sent on", n)
	}
}

// A connection is kept over redirects, as over any answer.
func TestARedirectedConnectionIsKept(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Redirect = &Redirect{} })
	conn := g.dial()
	r := bufio.NewReader(conn)
	for range 3 {
		_, _ = io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: a:80\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.Header.Get("Location") != "https://a/x" {
			t.Fatalf("got %v, %v", resp, err)
		}
	}
}
