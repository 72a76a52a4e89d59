package h1

import (
	"strings"
	"testing"
)

// decode gives in to a decoder in pieces of at most size bytes.
func decode(in string, size int, l Limits) (body string, used int, c *Chunked, err error) {
	c = new(Chunked)
	c.Reset(l)
	var out strings.Builder
	for have := min(size, len(in)); ; {
		piece, n, err := c.Next([]byte(in[used:have]))
		used += n
		out.Write(piece)
		if err != nil || c.Done() {
			return out.String(), used, c, err
		}
		if len(piece) > 0 {
			continue
		}
		if have == len(in) {
			return out.String(), used, c, nil
		}
		have = min(have+size, len(in))
	}
}

func TestChunkedBodies(t *testing.T) {
	for _, c := range []struct {
		in, body string
		trailers []string
	}{
		{in: "0\r\n\r\n"},
		{in: "5\r\nhello\r\n0\r\n\r\n", body: "hello"},
		{in: "5\r\nhello\r\n6\r\n\r\n0\r\n\r\r\n0\r\n\r\n", body: "hello\r\n0\r\n\r"},
		{in: "a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n", body: "01234567890123456789"},
		{in: "0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", body: "x"},
		{in: "1;a\r\nx\r\n1;a=b;c=\"d;\\\"\t\xe4 \"\r\ny\r\n0;last\r\n\r\n", body: "xy"},
		{in: "0\r\nA: b\r\nC:  d \r\n\r\n", trailers: []string{"A: b", "C: d"}},
		// RFC 9110 §6.5.1.
		{in: "0\r\nContent-Length: 5\r\nHost: b\r\nX-Checksum: 1\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\nConnection: close\r\n" +
			"Authorization: b\r\nCookie: b\r\nSet-Cookie: b\r\nContent-Type: b\r\nContent-Encoding: b\r\nContent-Range: b\r\nCache-Control: b\r\n" +
			"Range: b\r\nLocation: b\r\nWWW-Authenticate: b\r\nExpect: b\r\nForwarded: b\r\nX-Forwarded-For: b\r\nX_Forwarded_Port: b\r\nServer-Timing: 2\r\n\r\n",
			trailers: []string{"X-Checksum: 1", "Server-Timing: 2"}},
	} {
		for _, size := range []int{1, 2, 3, 7, 1000} {
			body, used, d, err := decode(c.in+"next", size, roomy)
			if err != nil || body != c.body || used != len(c.in) || !d.Done() {
				t.Errorf("%q by %d: %q, %d used, %v", c.in, size, body, used, err)
			}
			requireEqual(t, c.in, text(d.Trailers), c.trailers)
		}
		for cut := range len(c.in) {
			if _, _, d, err := decode(c.in[:cut], 1000, roomy); err != nil || d.Done() {
				t.Errorf("%q: done %v, %v", c.in[:cut], d.Done(), err)
			}
		}
	}
}

func TestChunkedBodiesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		rule, in string
		want     *Error
	}{
		{"§7.1: hexadecimal digits", "g\r\n", errChunkSize},
		{"§7.1: hexadecimal digits", "\r\n", errChunkSize},
		{"§7.1: hexadecimal digits", ";a\r\n", errChunkSize},
		{"§7.1: hexadecimal digits", "0x5\r\n", errChunkSize},
		{"§7.1: no sign", "+5\r\n", errChunkSize},
		{"§7.1: no sign", "-5\r\n", errChunkSize},
		{"§7.1: no separator", "5_0\r\n", errChunkSize},
		{"§7.1: no white space", " 5\r\n", errChunkSize},
		{"§7.1: no white space", "5 \r\n", errChunkSize},
		{"§7.1: no white space", "5\t;a\r\n", errChunkSize},
		{"§7.1: an int64", "8000000000000000\r\n", errChunkSize},
		{"§7.1: an int64", "ffffffffffffffff\r\n", errChunkSize},
		{"§7.1: 16 digits", "00000000000000005\r\n", errChunkSize},
		{"§7.1: CRLF after the size", "5\nhello", errChunkSize},
		{"§7.1: CRLF after the size", "5\rhello", errLineEnd},
		{"§7.1: CRLF after the size", "5\r\rhello", errLineEnd},
		{"§7.1: CRLF after the data", "5\r\nhello0\r\n\r\n", errChunkEnd},
		{"§7.1: CRLF after the data", "5\r\nhello\n0\r\n\r\n", errChunkEnd},
		{"§7.1: CRLF after the data", "5\r\nhello\r0\r\n\r\n", errChunkEnd},
		{"§7.1: CRLF after the data", "5\r\nhello!\r\n", errChunkEnd},
		{"§7.1.1: a name", "5;\r\n", errChunkExtension},
		{"§7.1.1: a name", "5;;a\r\n", errChunkExtension},
		{"§7.1.1: a name", "5;=a\r\n", errChunkExtension},
		{"§7.1.1: no white space", "5; a\r\n", errChunkExtension},
		{"§7.1.1: no white space", "5;a \r\n", errChunkExtension},
		{"§7.1.1: a value", "5;a=\r\n", errChunkExtension},
		{"§7.1.1: a value", "5;a=b=c\r\n", errChunkExtension},
		{"§7.1.1: a quoted string ends", "5;a=\"\r\n", errChunkExtension},
		{"§7.1.1: a quoted string ends", "5;a=\"b\"c\r\n", errChunkExtension},
		{"§7.1.1: a quoted pair has text", "5;a=\"\\\r\n", errChunkExtension},
		{"§7.1.1: CRLF", "5;a\nhello\r\n", errChunkExtension},
		{"§7.1.1: CRLF", "5;a\rhello\r\n", errLineEnd},
		{"§7.1.1: no control character", "5;a\x00\r\n", errChunkExtension},
		{"§7.1.1: a limit", "5;" + strings.Repeat("a", 2049) + "\r\n", errChunkExtension},
		{"§7.1.1: a limit of all of them", strings.Repeat("1;aaaaaaa\r\nx\r\n", 300), errChunkExtension},
		{"§7.1.2: fields", "0\r\nA\r\n\r\n", errFieldName},
		{"§7.1.2: fields", "0\r\nA : b\r\n\r\n", errFieldName},
		{"§7.1.2: fields", "0\r\nA: b\r\n c\r\n\r\n", errFolded},
		{"§7.1.2: fields", "0\r\n\r\x00", nil},
		{"§7.1.2: fields", "0\r\n\r\x00\n", errLineEnd},
		{"§7.1.2: fields", "0\r\nA: \x00\r\n\r\n", errFieldValue},
		{"§7.1.2: CRLF", "0\r\n\n", errLineEnd},
		{"§7.1.2: CRLF", "0\r\nA: b\n\r\n", errLineEnd},
		{"a limit", "0\r\nA: " + strings.Repeat("b", 100), errHeadTooLarge},
		{"a limit", "0\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", errTooManyFields},
	} {
		for _, size := range []int{1, 2, 1 << 20} {
			_, _, d, err := decode(c.in, size, Limits{Bytes: 100, Fields: 3})
			if c.want == nil && err == nil {
				continue
			}
			if err != c.want || d.Done() {
				t.Errorf("%s: %.99q by %d: got %v, want %v", c.rule, c.in, size, err, c.want)
			}
			if _, n, again := d.Next([]byte("0\r\n\r\n")); n != 0 || again != err {
				t.Errorf("%s: %.99q: after the error came %v", c.rule, c.in, again)
			}
		}
	}
}

func TestAChunkedIsUsedAgain(t *testing.T) {
	var c Chunked
	for range 2 {
		c.Reset(roomy)
		in := []byte("1\r\nx\r\n0\r\nA: b\r\n\r\n")
		for used := 0; !c.Done(); {
			_, n, err := c.Next(in[used:])
			if err != nil {
				t.Fatal(err)
			}
			used += n
		}
		if len(c.Trailers) != 1 {
			t.Errorf("the trailers are %q", text(c.Trailers))
		}
	}
	c.Reset(roomy)
	if _, _, err := c.Next([]byte("x")); err == nil {
		t.Fatal("x was taken")
	}
	c.Reset(roomy)
	if piece, _, err := c.Next([]byte("1\r\nx")); err != nil || string(piece) != "x" {
		t.Errorf("after an error and Reset: %q %v", piece, err)
	}
}
