package h1

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestRequestsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		rule, in string
		want     *Error
	}{
		{"§2.2: lines end in CRLF", "GET / HTTP/1.1\nHost: a\n\n", errLineEnd},
		{"§2.2: each line", "GET / HTTP/1.1\r\nHost: a\n\r\n", errLineEnd},
		{"§2.2: also the empty one", "GET / HTTP/1.1\r\nHost: a\r\n\n", errLineEnd},
		{"§2.2: no CR elsewhere", requestOf("A: b\rc"), errFieldValue},
		{"§2.2: no CR before CRLF", requestOf("A: b\r"), errFieldValue},
		{"§2.2: no CR in the request line", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", errTarget},
		{"§2.2: one empty line before", "\r\n\r\n" + requestOf(), errRequestLine},
		{"§2.2: which ends in CRLF", "\n" + requestOf(), errLineEnd},
		{"§2.2: no white space after the request line", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", errFolded},
		{"not HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01", errNotHTTP},

		{"§2.3: version", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", errVersion},
		{"§2.3: version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", errVersion},
		{"§2.3: version", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", errVersion},
		{"§2.3: version", "GET / HTTP/0.9\r\n\r\n", errVersion},
		{"§2.3: in upper case", "GET / http/1.1\r\nHost: a\r\n\r\n", errNotHTTP},
		{"§2.3: one digit", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", errNotHTTP},
		{"§2.3: one digit", "GET / HTTP/1.\r\nHost: a\r\n\r\n", errNotHTTP},
		{"§2.3: digits", "GET / HTTP/1.x\r\nHost: a\r\n\r\n", errNotHTTP},

		{"§3: three parts", "GET /\r\n\r\n", errRequestLine},
		{"§3: three parts", "GET HTTP/1.1\r\nHost: a\r\n\r\n", errRequestLine},
		{"§3: one space", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", errTarget},
		{"§3: one space", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", errTarget},
		{"§3: a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", errRequestLine},
		{"§3: nothing after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", errNotHTTP},
		{"§3: nothing before the method", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", errNotHTTP},
		{"§3: no space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", errTarget},
		{"§3.1: a method is a token", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", errRequestLine},
		{"§3: a method longer than any", strings.Repeat("A", 33) + " / HTTP/1.1\r\nHost: a\r\n\r\n", errMethod},

		{"§3.2: one Host", "GET / HTTP/1.1\r\n\r\n", errNoHost},
		{"§3.2: one Host", requestOf("Host: a"), errTwoHosts},
		{"§3.2: one Host", requestOf("hOST: b"), errTwoHosts},
		{"§3.2: also in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", errTwoHosts},
		{"§3.2: also with an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n", errNoHost},
		{"§3.2: valid also with an absolute target", "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", errHost},

		{"§5.1: no white space before the colon", requestOf("A : b"), errFieldName},
		{"§5.1: no white space before the colon", requestOf("A\t: b"), errFieldName},
		{"§5.1: a name", requestOf(": b"), errFieldName},
		{"§5.1: a colon", requestOf("A"), errFieldName},
		{"§5.1: a token", requestOf("A(b): c"), errFieldName},
		{"§5.1: a token", requestOf("Transfer-Encoding\x00: chunked"), errFieldName},
		{"§5.1: a token", requestOf("\xc3\xa4: c"), errFieldName},
		{"§5.2: no folding", requestOf("A: b", " c"), errFolded},
		{"§5.2: no folding", requestOf("A: b", "\tc"), errFolded},
		{"§5.2: no line of white space", requestOf("A: b", " "), errFolded},
		{"RFC 9110 §5.5: no NUL", requestOf("A: b\x00c"), errFieldValue},
		{"RFC 9110 §5.5: no DEL", requestOf("A: 1234567\x7f"), errFieldValue},
		{"RFC 9110 §5.5: no vertical tab", requestOf("Transfer-Encoding: \x0bchunked"), errFieldValue},

		{"§6.3: digits", requestOf("Content-Length: +5"), errLength},
		{"§6.3: digits", requestOf("Content-Length: -5"), errLength},
		{"§6.3: digits", requestOf("Content-Length: 0x5"), errLength},
		{"§6.3: digits", requestOf("Content-Length: 5 5"), errLength},
		{"§6.3: digits", requestOf("Content-Length: 1_000"), errLength},
		{"§6.3: digits", requestOf("Content-Length: 5;q=1"), errLength},
		{"§6.3: digits", requestOf("Content-Length: ٥"), errLength},
		{"§6.3: a digit", requestOf("Content-Length:"), errLength},
		{"§6.3: no list", requestOf("Content-Length: 5, 5"), errLength},
		{"§6.3: one field", requestOf("Content-Length: 5", "Content-Length: 5"), errTwoLengths},
		{"§6.3: one field", requestOf("Content-Length: 5", "content-length: 6"), errTwoLengths},
		{"§6.3: an int64", requestOf("Content-Length: 9223372036854775808"), errLength},
		{"§6.3: an int64", requestOf("Content-Length: 18446744073709551621"), errLength},
		{"no disguise", requestOf("Content_Length: 5"), errDisguised},
		{"no disguise", requestOf("transfer_encoding: chunked"), errDisguised},

		{"§6.1: not both", requestOf("Content-Length: 5", "Transfer-Encoding: chunked"), errBothFramings},
		{"§6.1: not both", requestOf("Transfer-Encoding: chunked", "Content-Length: 0"), errBothFramings},
		{"§6.1: not in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", errCodingOf10},
		{"§6.1: one field", requestOf("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), errTwoCodings},
		{"§6.1: one field", requestOf("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), errTwoCodings},
		{"§6.1: not known", requestOf("Transfer-Encoding: gzip"), errUnknown},
		{"§6.1: not known", requestOf("Transfer-Encoding: identity"), errUnknown},
		{"§6.1: not known", requestOf("Transfer-Encoding: gzip, chunked"), errUnknown},
		{"§6.1: not known", requestOf("Transfer-Encoding: xchunked"), errUnknown},
		{"§6.1: chunked once", requestOf("Transfer-Encoding: chunked, chunked"), errCoding},
		{"§6.1: chunked last", requestOf("Transfer-Encoding: chunked, gzip"), errCoding},
		{"§6.1: no empty element", requestOf("Transfer-Encoding: , chunked"), errCoding},
		{"§6.1: no empty element", requestOf("Transfer-Encoding: chunked,"), errCoding},
		{"§6.1: a coding", requestOf("Transfer-Encoding:"), errCoding},
		{"§7: no parameters", requestOf("Transfer-Encoding: chunked;q=1"), errCoding},
		{"§6.1: no quotes", requestOf(`Transfer-Encoding: "chunked"`), errCoding},

		{"a Connection field that costs", requestOf("Connection: " + strings.Repeat("a,", 17)), errOptions},
	} {
		var r Request
		if n, err := r.Parse([]byte(c.in), &roomy); n != 0 || err != c.want {
			t.Errorf("%s: %q: got %d %v, want %v", c.rule, c.in, n, err, c.want)
		}
		if _, err := bytewise(c.in, func(b []byte) (int, error) { return r.Parse(b, &roomy) }); err != c.want {
			t.Errorf("%s: %q by bytes: got %v, want %v", c.rule, c.in, err, c.want)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct{ method, target, path, query, host string }{
		{"GET", "/", "/", "", "field"},
		{"GET", "/a%2Fb/../c?q=1&r?s", "/a%2Fb/../c", "?q=1&r?s", "field"},
		{"GET", "/?", "/", "?", "field"},
		{"GET", "//a/b", "//a/b", "", "field"},
		{"GET", `/"<>\^{|}[]` + "`", `/"<>\^{|}[]` + "`", "", "field"},
		{"GET", "/?100%", "/", "?100%", "field"},
		{"GET", "/:80", "/:80", "", "field"},
		{"GET", "http://b/x?y", "/x", "?y", "b"},
		{"GET", "HTTPS://b:8443/x", "/x", "", "b:8443"},
		{"GET", "http://b", "/", "", "b"},
		{"GET", "http://b?y", "/", "?y", "b"},
		{"GET", "http://[::1]:80/", "/", "", "[::1]:80"},
		{"OPTIONS", "*", "*", "", "field"},
		{"OPTIONS", "http://b", "*", "", "b"},
		{"OPTIONS", "http://b/", "/", "", "b"},
		{"OPTIONS", "http://b?", "/", "?", "b"},
		{"CONNECT", "b:443", "", "", "b:443"},
		{"CONNECT", "[::1]:443", "", "", "[::1]:443"},
	} {
		var r Request
		in := c.method + " " + c.target + " HTTP/1.1\r\nHost: field\r\n\r\n"
		n, err := r.Parse([]byte(in), &roomy)
		if err != nil || n != len(in) {
			t.Errorf("%s: %d %v", c.target, n, err)
			continue
		}
		got := fmt.Sprintf("%s %s: %s %s at %s", r.Method, r.Target, r.Path, r.Query, r.Host)
		if want := fmt.Sprintf("%s %s: %s %s at %s", c.method, c.target, c.path, c.query, c.host); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, c := range []struct{ method, target string }{
		{"GET", "*"}, {"OPTIONS", "**"}, {"GET", "a"}, {"GET", "a:80"}, {"GET", "?q"}, {"GET", "/a#b"}, {"GET", "/?a#b"},
		{"GET", "/\x00"}, {"GET", "/\x7f"}, {"GET", "/\t"}, {"GET", "/ä"}, {"GET", "/%"}, {"GET", "/%2"}, {"GET", "/%zz"},
		{"GET", "http:///x"}, {"GET", "http://"}, {"GET", "http:/x"}, {"GET", "ftp://b/"}, {"GET", "file:///x"},
		{"GET", "http://user@b/"}, {"GET", "http://user:pw@b/"}, {"GET", "http://b:/"}, {"GET", "http://b:x/"}, {"GET", "http://b/%"},
		{"GET", "http://b\\@c/"}, {"CONNECT", "b"}, {"CONNECT", "/"}, {"CONNECT", "[::1]"}, {"CONNECT", "http://b/"}, {"CONNECT", ":80"},
	} {
		var r Request
		if _, err := r.Parse([]byte(c.method+" "+c.target+" HTTP/1.1\r\nHost: field\r\n\r\n"), &roomy); err != errTarget {
			t.Errorf("%s %q: got %v", c.method, c.target, err)
		}
	}
}

func TestHosts(t *testing.T) {
	for host, want := range map[string]bool{
		"a": true, "a.example": true, "a.example.": true, "A-b_c~1": true, "a:80": true, "127.0.0.1:8080": true, "a:0": true, "a:65535": true,
		"[::1]": true, "[::]:80": true, "[fe80::1]": true, "[1:2:3:4:5:6:7:8]": true, "xn--bcher-kva.example": true,
		"": false, ":80": false, "a:": false, "a:65536": false, "a:000080": false, "a:+80": false, "a:8 0": false, "a:80:80": false,
		"a b": false, "a/b": false, "a@b": false, "a,b": false, "a%2e": false, "a?b": false, "a#b": false, `a\b`: false, "ä": false,
		"[": false, "[]": false, "[a": false, "[::1": false, "[::1]x": false, "[::1]80": false, "[::1%25eth0]": false, "[127.0.0.1]": false,
		"[1:2:3]": false, "[:::]": false, "[::1::]": false, "::1": false, "[::ffff:1.2.3.4]": false, "[1:2:3:4:5:6:7:8:9]": false,
	} {
		var r Request
		if _, err := r.Parse([]byte("GET / HTTP/1.0\r\nHost: "+host+"\r\n\r\n"), &roomy); (err == nil) != want || err != nil && err != errHost {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func FuzzIPv6(f *testing.F) {
	for _, s := range []string{"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "1::2::3", ":1", "1:", "12345::", ":::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := netip.ParseAddr(s)
		if want := err == nil && a.Is6() && a.Zone() == "" && !strings.Contains(s, "."); validIPv6([]byte(s)) != want {
			t.Errorf("%q: got %v, want %v", s, !want, want)
		}
	})
}

func TestWhatFieldsSayOfARequest(t *testing.T) {
	for _, c := range []struct {
		in                         string
		length                     int64
		close, expect100, trailers bool
		upgrade                    string
		hops                       []string
	}{
		{in: requestOf()},
		{in: requestOf("Content-Length: 0")},
		{in: requestOf("Content-Length:\t 5 \t"), length: 5},
		{in: requestOf("Content-Length: 0005"), length: 5},
		{in: requestOf("content-length: 9223372036854775807"), length: 1<<63 - 1},
		{in: requestOf("Transfer-Encoding: Chunked"), length: LengthChunked, hops: []string{"Transfer-Encoding"}},
		{in: requestOf("Connection: close"), close: true, hops: []string{"Connection"}},
		{in: requestOf("Connection: keep-alive"), hops: []string{"Connection"}},
		{in: requestOf("Connection: a, CLOSE ,b"), close: true, hops: []string{"Connection"}},
		{in: requestOf("Connection:", "Connection: ,,close"), close: true, hops: []string{"Connection", "Connection"}},
		{in: requestOf(`Connection: "close"`), hops: []string{"Connection"}},
		{in: "GET / HTTP/1.0\r\n\r\n", close: true},
		{in: "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", hops: []string{"Connection"}},
		{in: "GET / HTTP/1.0\r\nConnection: keep_alive\r\n\r\n", close: true, hops: []string{"Connection"}},
		{in: "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", close: true, hops: []string{"Connection"}},
		{in: requestOf("Expect: 100-Continue"), expect100: true},
		{in: requestOf("Expect: 100_continue")},
		{in: "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", close: true},
		{in: requestOf("TE: gzip, trailers"), trailers: true, hops: []string{"TE"}},
		{in: requestOf("TE: trailers;q=1"), hops: []string{"TE"}},
		{in: requestOf("Connection: Upgrade", "Upgrade: websocket"), upgrade: "websocket", hops: []string{"Connection", "Upgrade"}},
		{in: requestOf("Upgrade: websocket"), hops: []string{"Upgrade"}},
		{in: requestOf("Connection: Upgrade", "Upgrade: a", "Upgrade: a"), hops: []string{"Connection", "Upgrade", "Upgrade"}},
		{in: requestOf("Connection: Upgrade", "Upgrade: a, H2C"), hops: []string{"Connection", "Upgrade"}},
		{in: requestOf("Connection: Upgrade", "Upgrade: a", "Content-Length: 1"), length: 1, hops: []string{"Connection", "Upgrade"}},
		{in: "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n", close: true, hops: []string{"Connection", "Upgrade"}},
		{in: requestOf("X-Mine: 1", "connection: x-mine, X_Yours", "x-MINE: 2", "X-Yours: 3"), hops: []string{"X-Mine", "connection", "x-MINE"}},
		{in: requestOf("Keep-Alive: a", "Proxy-Connection: a", "Proxy-Authorization: a", "Proxy-Authenticate: a", "Trailer: a", "Proxy_Connection: a"),
			hops: []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "Trailer"}},
	} {
		var r Request
		if _, err := r.Parse([]byte(c.in), &roomy); err != nil {
			t.Errorf("%q: %v", c.in, err)
			continue
		}
		if r.Length != c.length || r.Close != c.close || r.Expect100 != c.expect100 || r.Trailers != c.trailers || string(r.Upgrade) != c.upgrade {
			t.Errorf("%q: length %d, close %v, expect %v, trailers %v, upgrade %q", c.in, r.Length, r.Close, r.Expect100, r.Trailers, r.Upgrade)
		}
		requireEqual(t, c.in, hops(r.Fields), c.hops)
	}
}

func TestFieldsAreTakenAsTheyCame(t *testing.T) {
	in := requestOf("a:b", "A:  \t", "C: \td e\xe4 \t", "C:", "!#$%&'*+-.^_`|~9: x:y")
	var r Request
	if _, err := r.Parse([]byte(in), &roomy); err != nil {
		t.Fatal(err)
	}
	requireEqual(t, in, text(r.Fields), []string{"Host: a", "a: b", "A: ", "C: d e\xe4", "C: ", "!#$%&'*+-.^_`|~9: x:y"})
}

func TestEveryKnownNameHasItsKind(t *testing.T) {
	seen := map[Kind]bool{}
	for length, names := range known {
		for _, k := range names {
			if len(k.name) != length || k.name != strings.ToLower(k.name) || seen[k.kind] {
				t.Errorf("%s is wrong in the table", k.name)
			}
			seen[k.kind] = true
			for _, spelled := range []string{k.name, strings.ToUpper(k.name)} {
				if got, err := kindOf([]byte(spelled)); got != k.kind || err != nil {
					t.Errorf("%s: %d %v", spelled, got, err)
				}
			}
			if got, err := kindOf([]byte(k.name + "s")); got != Other && got != XForwarded || err != nil {
				t.Errorf("%ss: %d %v", k.name, got, err)
			}
		}
	}
	for k := Other + 1; k < XForwarded; k++ {
		if !seen[k] {
			t.Errorf("kind %d has no name", k)
		}
	}
	for name, want := range map[string]Kind{
		"X-Forwarded-Port": XForwarded, "X_Forwarded_For": XForwarded, "x-forwarded_host": XForwarded, "X-Forwarded-": XForwarded,
		"X-Forwarded": Other, "Set_Cookie": Other, "Keep_Alive": Other, "X_Other": Other,
	} {
		if got, err := kindOf([]byte(name)); got != want || err != nil {
			t.Errorf("%s: %d %v", name, got, err)
		}
	}
}

func TestLimitsOfARequest(t *testing.T) {
	head := requestOf("A: b", "C: d")
	for _, c := range []struct {
		in   string
		l    Limits
		want int
	}{
		{head, Limits{Bytes: len(head), Fields: 3}, 0},
		{head, Limits{Bytes: len(head) - 1, Fields: 3}, 431},
		{head, Limits{Bytes: len(head), Fields: 2}, 431},
		{head, Limits{Bytes: len("GET / HTTP/1.1\r"), Fields: 3}, 414},
		{"GET /" + strings.Repeat("a", 100), Limits{Bytes: 100, Fields: 3}, 414},
		{"\r\n" + head, Limits{Bytes: len(head) + 2, Fields: 3}, 0},
		{"\r\n" + head, Limits{Bytes: len(head) + 1, Fields: 3}, 431},
	} {
		var r Request
		n, err := r.Parse([]byte(c.in), &c.l)
		if statusOf(err) != c.want || err == nil && n != len(c.in) {
			t.Errorf("%q within %v: %d %v", c.in, c.l, n, err)
		}
		if _, err := bytewise(c.in, func(b []byte) (int, error) { return r.Parse(b, &c.l) }); statusOf(err) != c.want {
			t.Errorf("%q within %v, by bytes: %v", c.in, c.l, err)
		}
	}
}

func TestARequestIsUsedAgain(t *testing.T) {
	var r Request
	in := []byte(requestOf("Content-Length: 3", "Expect: 100-continue", "TE: trailers", "Connection: close, x") + "abc\r\n" + requestOf())
	n, err := r.Parse(in, &roomy)
	if err != nil || r.Length != 3 {
		t.Fatal(n, err)
	}
	if n, err = r.Parse(in[n+3:], &roomy); err != nil || n != len("\r\n"+requestOf()) {
		t.Fatal(n, err)
	}
	if r.Length != 0 || r.Expect100 || r.Trailers || r.Close || len(r.Fields) != 1 {
		t.Errorf("something of the first is in the second: %+v", r)
	}
	if n, err := r.Parse([]byte("GET / HTTP/1.1\r\nHost"), &roomy); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	r.Reset()
	if n, err := r.Parse([]byte(requestOf()), &roomy); n == 0 || err != nil {
		t.Errorf("after Reset: %d %v", n, err)
	}
}
