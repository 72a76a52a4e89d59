package h1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"testing"
)

// The fuzz targets compare with net/http: what is taken here is taken there, and
// means the same. Three differences are known, and wanted:
//   - net/http refuses a Trailer field that announces framing. Trailer is advice
//     that is checked where the trailers come.
//   - net/http adds a Cache-Control to a Pragma.
//   - An answer without a body that announces one has Close.

func FuzzRequest(f *testing.F) {
	f.Add([]byte(requestOf("Content-Length: 5") + "hello"))
	f.Add([]byte("\r\nPOST http://b/x?y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nGET"))
	f.Add([]byte("GET / HTTP/1.0\r\nConnection: keep-alive, x\r\nX: y\r\n\r\n"))
	f.Add([]byte("CONNECT [::1]:443 HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: a:80\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nPragma: no-cache\r\n\r\n"))
	for _, v := range vectors() {
		f.Add([]byte(v.in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var r, again Request
		n, err := r.Parse(in, &roomy)
		m, byteErr := bytewise(string(in), func(b []byte) (int, error) { return again.Parse(b, &roomy) })
		if n != m || err != byteErr {
			t.Fatalf("at once: %d %v, by bytes: %d %v", n, err, m, byteErr)
		}
		if n == 0 {
			return
		}
		again.section, r.section = section{}, section{}
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("at once: %+v, by bytes: %+v", r, again)
		}
		sameRequest(t, &r, in, n)
		sameWhenWritten(t, &r)
	})
}

func sameRequest(t *testing.T, r *Request, in []byte, n int) {
	theirs := bufio.NewReader(bytes.NewReader(bytes.TrimPrefix(in, []byte("\r\n"))))
	want, err := http.ReadRequest(theirs)
	if err != nil {
		if announcesFraming(r.Fields) {
			return
		}
		t.Fatalf("net/http refuses it: %v", err)
	}
	got := fmt.Sprintf("%s %s at %s, 1.%d, length %d, close %v", r.Method, r.Target, r.Host, r.Minor, r.Length, r.Close)
	if want := fmt.Sprintf("%s %s at %s, 1.%d, length %d, close %v",
		want.Method, want.RequestURI, want.Host, want.ProtoMinor, want.ContentLength, want.Close); got != want {
		t.Fatalf("got %s, net/http has %s", got, want)
	}
	if want.Method != "CONNECT" {
		samePath(t, r, want.URL)
	}
	sameFields(t, r.Fields, want.Header)
	sameBody(t, &r.Head, in[n:], want.Body, func() http.Header { return want.Trailer })
}

func samePath(t *testing.T, r *Request, want *url.URL) {
	path, err := url.PathUnescape(string(r.Path))
	wantPath, wantQuery := want.Path, want.RawQuery
	switch {
	case wantPath == "" && want.Host != "" && string(r.Method) == "OPTIONS" && len(r.Query) == 0:
		wantPath = "*"
	case wantPath == "":
		wantPath = "/"
	}
	if want.ForceQuery || wantQuery != "" {
		wantQuery = "?" + wantQuery
	}
	if err != nil || path != wantPath || string(r.Query) != wantQuery {
		t.Fatalf("got %s %s, net/http has %s %s (%v)", r.Path, r.Query, wantPath, wantQuery, err)
	}
}

// sameWhenWritten writes what a backend gets, and reads it again.
func sameWhenWritten(t *testing.T, r *Request) {
	if len(r.Path) == 0 {
		return // no backend gets a CONNECT
	}
	out := AppendRequestLine(nil, r.Method, r.Path, r.Query)
	if len(r.Host) > 0 {
		out = AppendField(out, "Host", r.Host)
	}
	var kept []Field
	for _, f := range r.Fields {
		if !f.Hop && f.Kind != Host && f.Kind != ContentLength {
			kept = append(kept, f)
			out = AppendField(out, f.Name, f.Value)
		}
	}
	out = AppendEnd(AppendLength(out, r.Length))
	var b Request
	n, err := b.Parse(out, &Limits{Bytes: 2 * len(out), Fields: len(out)})
	if len(r.Host) == 0 {
		if err != errNoHost {
			t.Fatalf("%q: %v", out, err)
		}
		return
	}
	if err != nil || n != len(out) {
		t.Fatalf("%q: %d %v", out, n, err)
	}
	if !bytes.Equal(b.Method, r.Method) || !bytes.Equal(b.Path, r.Path) || !bytes.Equal(b.Query, r.Query) || !bytes.Equal(b.Host, r.Host) || b.Length != r.Length {
		t.Fatalf("%q is another request", out)
	}
	if got := text(b.Fields); !slices.Equal(got[1:len(got)-1], text(kept)) {
		t.Fatalf("%q has other fields", out)
	}
}

func FuzzResponse(f *testing.F) {
	for _, toHEAD := range []bool{true, false} {
		f.Add([]byte(answerOf("Content-Length: 5")+"hello"), toHEAD)
		f.Add([]byte(answerOf("Transfer-Encoding: chunked", "Trailer: X")+"5\r\nhello\r\n0\r\nX: y\r\n\r\n"), toHEAD)
		f.Add([]byte("HTTP/1.0 200\r\nConnection: close\r\n\r\nhello"), toHEAD)
		f.Add([]byte("HTTP/1.1 204 \r\nContent-Length: 5\r\n\r\n"), toHEAD)
		f.Add([]byte("HTTP/1.1 101 \r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n"), toHEAD)
	}
	f.Fuzz(func(t *testing.T, in []byte, toHEAD bool) {
		var r, again Response
		n, err := r.Parse(in, &roomy, toHEAD)
		m, byteErr := bytewise(string(in), func(b []byte) (int, error) { return again.Parse(b, &roomy, toHEAD) })
		if n != m || err != byteErr {
			t.Fatalf("at once: %d %v, by bytes: %d %v", n, err, m, byteErr)
		}
		if n == 0 {
			return
		}
		again.section, r.section = section{}, section{}
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("at once: %+v, by bytes: %+v", r, again)
		}
		sameAnswer(t, &r, in, n, toHEAD)
	})
}

func sameAnswer(t *testing.T, r *Response, in []byte, n int, toHEAD bool) {
	method := "GET"
	if toHEAD {
		method = "HEAD"
	}
	want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in)), &http.Request{Method: method})
	if err != nil {
		if announcesFraming(r.Fields) {
			return
		}
		t.Fatalf("net/http refuses it: %v", err)
	}
	bodiless := r.Status < 200 || r.Status == 204 || r.Status == 304 || toHEAD
	length := want.ContentLength
	switch {
	case bodiless:
		length = 0
	case length < 0 && len(want.TransferEncoding) == 0:
		length = LengthUntilClose
	}
	if r.Status != want.StatusCode || r.Minor != want.ProtoMinor || r.Length != length ||
		r.Close != want.Close && (want.Close || r.Status >= 200 && r.Status != 204) {
		t.Fatalf("got %d 1.%d, length %d, close %v; net/http has %d 1.%d, %d, %v",
			r.Status, r.Minor, r.Length, r.Close, want.StatusCode, want.ProtoMinor, length, want.Close)
	}
	sameFields(t, r.Fields, want.Header)
	sameBody(t, &r.Head, in[n:], want.Body, func() http.Header { return want.Trailer })
}

// announcesFraming says whether net/http refuses what Trailer announces.
func announcesFraming(fields []Field) bool {
	for _, f := range fields {
		if f.Kind == Trailer && (has(f.Value, "transfer-encoding") || has(f.Value, "trailer") || has(f.Value, "content-length")) {
			return true
		}
	}
	return false
}

// sameFields compares all fields but those that net/http takes out of the header.
func sameFields(t *testing.T, fields []Field, want http.Header) {
	t.Helper()
	got := http.Header{}
	for _, f := range fields {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		got[name] = append(got[name], string(f.Value))
	}
	_, cached := got["Cache-Control"]
	for _, name := range []string{"Host", "Transfer-Encoding", "Trailer", "Connection"} {
		delete(got, name)
		delete(want, name)
	}
	if p := got["Pragma"]; len(p) > 0 && p[0] == "no-cache" && !cached {
		delete(want, "Cache-Control")
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %q, net/http has %q", got, want)
	}
}

// sameBody compares the bodies, if all of it is there.
func sameBody(t *testing.T, h *Head, rest []byte, body io.Reader, trailer func() http.Header) {
	t.Helper()
	var want string
	var trailers []Field
	switch {
	case h.Length == LengthChunked:
		b, _, c, err := decode(string(rest), len(rest), roomy)
		if err != nil || !c.Done() {
			return
		}
		want, trailers = b, c.Trailers
	case h.Length == LengthUntilClose:
		want = string(rest)
	case h.Length > int64(len(rest)):
		return
	default:
		want = string(rest[:h.Length])
	}
	got, err := io.ReadAll(body)
	if err != nil || string(got) != want {
		t.Fatalf("got the body %q, net/http has %q %v", want, got, err)
	}
	for _, f := range trailers {
		name := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		if !slices.Contains(trailer()[name], string(f.Value)) {
			t.Fatalf("the trailers are %q, net/http has %q", text(trailers), trailer())
		}
	}
}

func FuzzChunked(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\nmore"), 3)
	f.Add([]byte("1;a=\"b\\\"\"\r\nx\r\n00;c\r\nA: b\r\n\r\n"), 1)
	f.Add([]byte("8000000000000000\r\n"), 100)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		body, used, c, err := decode(string(in), max(1, len(in)), roomy)
		pieces, usedPieces, cPieces, errPieces := decode(string(in), max(1, size), roomy)
		if body != pieces || used != usedPieces || err != errPieces || !slices.Equal(text(c.Trailers), text(cPieces.Trailers)) {
			t.Fatalf("at once: %q %d %v, by %d: %q %d %v", body, used, err, size, pieces, usedPieces, errPieces)
		}
		if !c.Done() {
			return
		}
		theirs := bufio.NewReader(bytes.NewReader(in))
		want, err := io.ReadAll(httputil.NewChunkedReader(theirs))
		if err != nil || body != string(want) {
			t.Fatalf("got %q, net/http has %q %v", body, want, err)
		}
		if _, err := textproto.NewReader(theirs).ReadMIMEHeader(); err != nil {
			t.Fatalf("net/http refuses the trailers: %v", err)
		}
		if rest, _ := io.ReadAll(theirs); !bytes.Equal(rest, in[used:]) {
			t.Fatalf("%q is left, net/http leaves %q", in[used:], rest)
		}
		sameWhenChunked(t, body, c.Trailers)
	})
}

// sameWhenChunked writes a body with its trailers, and reads it again.
func sameWhenChunked(t *testing.T, body string, trailers []Field) {
	var out []byte
	if len(body) > 0 {
		out = AppendEnd(append(AppendChunkSize(nil, len(body)), body...))
	}
	out = AppendLastChunk(out)
	for _, f := range trailers {
		out = AppendField(out, f.Name, f.Value)
	}
	out = AppendEnd(out)
	again, used, c, err := decode(string(out), len(out), Limits{Bytes: len(out) + 1, Fields: len(out)})
	if again != body || used != len(out) || err != nil || !slices.Equal(text(c.Trailers), text(trailers)) {
		t.Fatalf("%q is read as %q, %v", out, again, err)
	}
}
