package proxy

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// understood is a backend that tells all it understood of each request.
func (g *rig) understood() *witness {
	w := &witness{}
	g.serve("go", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it never came whole
		}
		text := fmt.Sprintf("%s %s host=%s length=%d %q", r.Method, r.RequestURI, r.Host, r.ContentLength, body)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			values, separator := r.Header[name], ", "
			if name == "Cookie" { // in pieces or in one
				values, separator = slices.DeleteFunc(values, func(v string) bool { return v == "" }), "; "
			}
			text += strings.TrimSuffix(fmt.Sprintf("\n%s: %s", name, strings.Join(values, separator)), "\nCookie: ")
		}
		w.note(text)
	}))
	return w
}

// message is a request, however it is sent.
type message struct {
	method, path, host string
	fields             []string
	body               string
	sized              bool // its length is said
}

func drawMessage(t *rapid.T) message {
	odd := rapid.StringOfN(rapid.SampledFrom([]rune("ab/?%25#\x00\r\n\t :;,=\"\\\u0080é@[]{}<>|^`~!$&'()*+-._0")), 0, 8, -1)
	name := rapid.SampledFrom([]string{
		"cookie", "x-a", "x_a", "accept", "te", "trailer", "authorization", "x-forwarded-for", "x-forwarded-host", "x_forwarded_for", "forwarded",
		"proxy-authorization", "range", "content-type", "transfer_encoding", "content_length", "http2-settings", "x-forwarded-port", "user-agent",
	})
	m := message{
		method: rapid.SampledFrom([]string{"GET", "POST", "PUT", "OPTIONS", "PURGE", "G:T", "get", strings.Repeat("M", 33)}).Draw(t, "method"),
		path:   "/" + odd.Draw(t, "path"),
		host:   rapid.SampledFrom([]string{"a.example", "A.example:80", "[::1]:8", "a_b", "a b", "a@b", "a/b", "a:b", "", "1.2.3.4", "a,b"}).Draw(t, "host"),
		body:   rapid.SampledFrom([]string{"", "hello", strings.Repeat("x", 5000)}).Draw(t, "body"),
		sized:  rapid.Bool().Draw(t, "sized"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "fields") {
		value := odd.Draw(t, "value")
		if rapid.Bool().Draw(t, "plain") {
			value = rapid.SampledFrom([]string{"trailers", "a=b", "chunked", "1.2.3.4", "drover_session=x; c=d", "5"}).Draw(t, "value")
		}
		m.fields = append(m.fields, name.Draw(t, "name"), value)
	}
	if m.body != "" && m.sized {
		m.fields = append(m.fields, "content-length", fmt.Sprint(len(m.body)))
	}
	return m
}

// by1 sends it by HTTP/1.1 and says whether it was answered by the backend.
func (m message) by1(t *rapid.T, g *rig) bool {
	c := g.dial()
	defer c.Close()
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n", m.method, m.path, m.host)
	for i := 0; i < len(m.fields); i += 2 {
		text += m.fields[i] + ": " + m.fields[i+1] + "\r\n"
	}
	switch {
	case m.body == "":
		text += "\r\n"
	case m.sized:
		text += "\r\n" + m.body
	default:
		text += fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(m.body), m.body)
	}
	fmt.Fprint(c, text)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode == 200
}

func (m message) by2(t *rapid.T, k *talker, id uint32) bool {
	fields := slices.Clone(m.fields)
	k.askFor(id, m.body == "", append([]string{":method", m.method, ":scheme", "http", ":path", m.path, ":authority", m.host}, fields...))
	if m.body != "" {
		_ = k.framer.WriteData(id, true, []byte(m.body))
		k.send()
	}
	answered := false
	for {
		got, ok := strings.CutPrefix(k.next(), fmt.Sprintf("%d: ", id))
		if !ok {
			t.Fatalf("got %q", got)
		}
		answered = answered || strings.HasPrefix(got, "200")
		if strings.HasPrefix(got, "RST_STREAM PROTOCOL") || strings.HasSuffix(got, " end") {
			return answered
		}
	}
}

// What an instance is sent does not depend on the protocol in which it came, and
// HTTP/2 takes nothing that HTTP/1.1 refuses.
func TestBothProtocolsAreUnderstoodAlike(t *testing.T) {
	g := newRig(t)
	w := g.understood()
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		first := m.by1(t, g)
		seen := w.take()
		k := g.talk2()
		defer k.conn.Close()
		second := m.by2(t, k, 1)
		seen2 := w.take()
		switch {
		case !first && second:
			t.Fatalf("HTTP/1.1 refuses %+v, HTTP/2 takes it: %q", m, seen2)
		case !second && len(seen2) > 0:
			t.Fatalf("it was refused, and passed on: %q", seen2)
		case first && second && (len(seen) != 1 || len(seen2) != 1 || seen[0] != seen2[0]):
			t.Fatalf("%+v\nby HTTP/1.1 %q\nby HTTP/2   %q", m, seen, seen2)
		case first && second:
			accepted++
		}
	})
	t.Logf("%d were accepted", accepted)
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
}
