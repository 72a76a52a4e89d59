package h1

import (
	"strings"
	"testing"
)

func TestAnswersThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		rule, in string
		want     *Error
	}{
		{"§2.2: lines end in CRLF", "HTTP/1.1 200 OK\n\n", errLineEnd},
		{"§2.2: no empty line before", "\r\n" + answerOf(), errStatusLine},
		{"§2.3: version", "HTTP/1.2 200 OK\r\n\r\n", errVersion},
		{"§2.3: version", "HTTP/2.0 200 OK\r\n\r\n", errVersion},
		{"§2.3: version", "ICY/1.12 200 OK\r\n\r\n", errNotHTTP},
		{"§4: a line", "HTTP/1.1\r\n\r\n", errStatusLine},
		{"§4: a line", "ICY 200 OK\r\n\r\n", errStatusLine},
		{"§4: three digits", "HTTP/1.1 20 OK\r\n\r\n", errStatusLine},
		{"§4: three digits", "HTTP/1.1 2000 OK\r\n\r\n", errStatusLine},
		{"§4: three digits", "HTTP/1.1 +20 OK\r\n\r\n", errStatusLine},
		{"RFC 9110 §15: from 100", "HTTP/1.1 099 OK\r\n\r\n", errStatusLine},
		{"§4: one space", "HTTP/1.1  200 OK\r\n\r\n", errStatusLine},
		{"§4: a space", "HTTP/1.1\t200 OK\r\n\r\n", errStatusLine},
		{"§4: a space", "HTTP/1.1 200OK\r\n\r\n", errStatusLine},
		{"§4: no control character", "HTTP/1.1 200 O\x00K\r\n\r\n", errStatusLine},
		{"§4: no CR", "HTTP/1.1 200 O\rK\r\n\r\n", errStatusLine},
		{"§5.1: no white space before the colon", answerOf("Content-Length : 5"), errFieldName},
		{"§5.2: no folding", answerOf("A: b", " c"), errFolded},
		{"§6.3: no list", answerOf("Content-Length: 5, 5"), errLength},
		{"§6.3: one field", answerOf("Content-Length: 5", "Content-Length: 5"), errTwoLengths},
		{"§6.1: not both", answerOf("Content-Length: 5", "Transfer-Encoding: chunked"), errBothFramings},
		{"§6.1: not known", answerOf("Transfer-Encoding: gzip, chunked"), errUnknown},
		{"§6.1: not in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", errCodingOf10},
		{"also where there is no body", "HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n", errLength},
		{"too large", answerOf("A: " + strings.Repeat("a", 64<<10)), errHeadTooLarge},
		{"too large", "HTTP/1.1 200 " + strings.Repeat("a", 64<<10), errStartLineTooLong},
	} {
		var r Response
		if n, err := r.Parse([]byte(c.in), &roomy, false); n != 0 || err != c.want {
			t.Errorf("%s: %.99q: got %d %v, want %v", c.rule, c.in, n, err, c.want)
		}
	}
}

func TestAnswers(t *testing.T) {
	const length, chunked = "\r\nContent-Length: 5", "\r\nTransfer-Encoding: chunked"
	for _, c := range []struct {
		in      string
		toHEAD  bool
		status  int
		reason  string
		length  int64
		close   bool
		upgrade string
	}{
		{in: "HTTP/1.1 200 OK", status: 200, reason: "OK", length: LengthUntilClose, close: true},
		{in: "HTTP/1.1 200 " + length, status: 200, length: 5},
		{in: "HTTP/1.1 200" + length, status: 200, length: 5},
		{in: "HTTP/1.1 404 Not \xe4 Found" + chunked, status: 404, reason: "Not \xe4 Found", length: LengthChunked},
		{in: "HTTP/1.0 200 OK" + length, status: 200, reason: "OK", length: 5, close: true},
		{in: "HTTP/1.0 200 OK\r\nConnection: keep-alive" + length, status: 200, reason: "OK", length: 5},
		{in: "HTTP/1.1 200 OK\r\nConnection: close" + length, status: 200, reason: "OK", length: 5, close: true},
		{in: "HTTP/1.1 999 Denied" + length, status: 999, reason: "Denied", length: 5},
		// RFC 9112 §6.3: no body whatever the fields say.
		{in: "HTTP/1.1 200 OK" + length, toHEAD: true, status: 200, reason: "OK"},
		{in: "HTTP/1.1 200 OK" + chunked, toHEAD: true, status: 200, reason: "OK"},
		{in: "HTTP/1.1 200 OK", toHEAD: true, status: 200, reason: "OK"},
		{in: "HTTP/1.1 304 " + length, status: 304},
		{in: "HTTP/1.1 304 " + chunked, status: 304},
		{in: "HTTP/1.1 204 ", status: 204},
		{in: "HTTP/1.1 204 \r\nContent-Length: 0", status: 204},
		{in: "HTTP/1.1 204 " + length, status: 204, close: true},
		{in: "HTTP/1.1 204 " + chunked, status: 204, close: true},
		{in: "HTTP/1.1 100 Continue", status: 100, reason: "Continue"},
		{in: "HTTP/1.1 103 " + length, status: 103, close: true},
		{in: "HTTP/1.1 101 \r\nUpgrade: websocket", status: 101, upgrade: "websocket"},
		{in: "HTTP/1.1 101 \r\nUpgrade: a\r\nUpgrade: b", status: 101},
	} {
		var r Response
		in := c.in + "\r\n\r\n"
		n, err := bytewise(in, func(b []byte) (int, error) { return r.Parse(b, &roomy, c.toHEAD) })
		if n != len(in) || err != nil {
			t.Errorf("%q: %d %v", in, n, err)
			continue
		}
		if n, err = r.Parse([]byte(in+"more"), &roomy, c.toHEAD); n != len(in) || err != nil {
			t.Errorf("%q: %d %v", in, n, err)
			continue
		}
		if r.Status != c.status || string(r.Reason) != c.reason || r.Length != c.length || r.Close != c.close || string(r.Upgrade) != c.upgrade {
			t.Errorf("%q: %d %q, length %d, close %v, upgrade %q", in, r.Status, r.Reason, r.Length, r.Close, r.Upgrade)
		}
	}
}

func TestAnAnswerIsUsedAgain(t *testing.T) {
	var r Response
	if n, err := r.Parse([]byte("HTTP/1.1 200 OK\r\nConte"), &roomy, false); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	r.Reset()
	if n, err := r.Parse([]byte(answerOf("Content-Length: 1")), &roomy, false); n == 0 || err != nil || r.Length != 1 {
		t.Errorf("after Reset: %d %v", n, err)
	}
}
