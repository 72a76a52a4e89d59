package h1

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// What a browser sends, with eight fields.
var eightFields = []byte("GET /assets/app-3f9c2b.js?v=42 HTTP/1.1\r\n" + lines([]string{
	"Host: shop.example.com",
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"Accept-Language: en-US,en;q=0.5",
	"Accept-Encoding: gzip, deflate, br, zstd",
	"Connection: keep-alive",
	"Referer: https://shop.example.com/cart",
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
}))

var eightAnswered = []byte("HTTP/1.1 200 OK\r\n" + lines([]string{
	"Date: Mon, 01 Jan 2024 00:00:00 GMT",
	"Server: shop",
	"Content-Type: text/html; charset=utf-8",
	"Content-Length: 128",
	"Cache-Control: max-age=0, private, must-revalidate",
	"Etag: W/\"0123456789abcdef0123456789abcdef\"",
	"Vary: Accept-Encoding",
	"X-Request-Id: 01234567-89ab-cdef-0123-456789abcdef",
}))

// TestNothingIsAllocated is the promise of the package's documentation.
func TestNothingIsAllocated(t *testing.T) {
	var r Request
	var a Response
	var c Chunked
	c.Reset(roomy)
	buf := make([]byte, 0, 4<<10)
	upgrade := []byte(requestOf("Connection: Upgrade, X-Mine", "Upgrade: websocket", "X-Mine: 1", "TE: trailers", "Expect: 100-continue", "X-Forwarded-For: 1.2.3.4"))
	absolute := []byte("OPTIONS http://[::1]:80 HTTP/1.1\r\nHost: a\r\n\r\n")
	chunked := []byte("5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n")
	refused := [][]byte{[]byte(requestOf("A : b")), []byte(requestOf("Transfer-Encoding: gzip, chunked")), []byte("GET / HTTP/1.1\n"),
		[]byte("GET /" + strings.Repeat("a", 65<<10)), []byte(requestOf(strings.Split(strings.Repeat("A: b,", 200), ",")[:200]...))}
	for name, run := range map[string]func(){
		"a request":           func() { parse(t, &r, eightFields) },
		"an upgrade":          func() { parse(t, &r, upgrade) },
		"an absolute target":  func() { parse(t, &r, absolute) },
		"a request in pieces": func() { _, _ = r.Parse(eightFields[:100], &roomy); parse(t, &r, eightFields) },
		"an answer": func() {
			if _, err := a.Parse(eightAnswered, &roomy, false); err != nil {
				t.Fatal(err)
			}
		},
		"chunks": func() {
			c.Reset(roomy)
			for used := 0; !c.Done(); {
				_, n, err := c.Next(chunked[used:])
				if err != nil {
					t.Fatal(err)
				}
				used += n
			}
		},
		"refusals": func() {
			for _, in := range refused {
				if _, err := r.Parse(in, &roomy); err == nil {
					t.Fatalf("%.99q was taken", in)
				}
			}
		},
		"what is written": func() { buf = appendMessages(buf[:0], &r, &a) },
	} {
		run()
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s costs %v allocations", name, n)
		}
	}
}

func parse(t testing.TB, r *Request, in []byte) {
	if n, err := r.Parse(in, &roomy); err != nil || n != len(in) {
		t.Fatal(n, err)
	}
}

func appendMessages(buf []byte, r *Request, a *Response) []byte {
	buf = AppendRequestLine(buf, r.Method, r.Path, r.Query)
	for i := range r.Fields {
		buf = AppendField(buf, r.Fields[i].Name, r.Fields[i].Value)
	}
	buf = AppendEnd(AppendLength(buf, LengthChunked))
	buf = AppendLastChunk(AppendEnd(append(AppendChunkSize(buf, 5), "hello"...)))
	buf = AppendStatusLine(buf, a.Status, a.Reason)
	return AppendEnd(AppendField(AppendLength(buf, 12345), "Connection", "close"))
}

// TestNoByteIsSearchedTwice puts what would be refused over what has been
// searched: only the last byte, which may be the CR of an LF to come, is looked at
// again before the head is complete.
func TestNoByteIsSearchedTwice(t *testing.T) {
	in := []byte(requestOf("A: b", "C: d"))
	var r Request
	for at := range len(in) - 1 {
		buf := bytes.Repeat([]byte("\n"), at+1)
		buf[0] = in[0]
		copy(buf[max(0, at-1):], in[max(0, at-1):at+1])
		if n, err := r.Parse(buf, &roomy); n != 0 || err != nil {
			t.Fatalf("at byte %d: %d %v", at, n, err)
		}
	}
	parse(t, &r, in)
}

func TestWhatIsWritten(t *testing.T) {
	out := AppendRequestLine(nil, []byte("GET"), []byte("/a"), []byte("?b"))
	out = AppendEnd(AppendLength(AppendField(out, []byte("A"), "b"), 0))
	out = AppendEnd(AppendLength(AppendStatusLine(out, 200, "OK"), LengthUntilClose))
	out = AppendEnd(AppendLength(AppendStatusLine(out, 404, []byte{}), LengthChunked))
	out = AppendEnd(append(AppendChunkSize(out, 26), "abcdefghijklmnopqrstuvwxyz"...))
	out = AppendEnd(AppendLastChunk(out))
	const want = "GET /a?b HTTP/1.1\r\nA: b\r\nContent-Length: 0\r\n\r\n" +
		"HTTP/1.1 200 OK\r\n\r\n" +
		"HTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\n\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func BenchmarkRequest(b *testing.B) {
	b.Run("h1", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(eightFields)))
		var r Request
		for b.Loop() {
			parse(b, &r, eightFields)
		}
	})
	b.Run("net-http", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(eightFields)))
		in := bytes.NewReader(nil)
		r := bufio.NewReader(nil)
		for b.Loop() {
			in.Reset(eightFields)
			r.Reset(in)
			if _, err := http.ReadRequest(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkResponse(b *testing.B) {
	b.Run("h1", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(eightAnswered)))
		var r Response
		for b.Loop() {
			if n, err := r.Parse(eightAnswered, &roomy, false); err != nil || n == 0 {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("net-http", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(eightAnswered)))
		in := bytes.NewReader(nil)
		r := bufio.NewReader(nil)
		for b.Loop() {
			in.Reset(eightAnswered)
			r.Reset(in)
			if _, err := http.ReadResponse(r, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
