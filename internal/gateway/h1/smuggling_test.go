package h1

import (
	"slices"
	"strings"
	"testing"
)

// vector is a whole connection. What is tried in it is that one program sees
// other requests than the next one.
type vector struct {
	name, in string
	want     []string // method, path, host and body of each request, or a refusal
}

func vectors() []vector {
	const post, host, next = "POST /1 HTTP/1.1\r\n", "Host: a\r\n", "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
	const chunked, length0, body0 = "Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n", "\r\n0\r\n\r\n"
	return []vector{
		{"pipelined", post + host + length0 + "\r\n" + next, []string{"POST /1 a", "GET /hidden a"}},
		{"a body that looks like a request", post + host + "Content-Length: 37\r\n\r\n" + next + "\r\n\r\n", []string{"POST /1 a " + next + "\r\n\r\n"}},
		{"chunks that look like a request", post + host + chunked + "\r\n21\r\n" + next + "\r\n0\r\n\r\n", []string{"POST /1 a " + next}},
		{"a body of a GET", "GET /1 HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc" + next, []string{"GET /1 a abc", "GET /hidden a"}},

		{"CL.TE", post + host + "Content-Length: 6\r\n" + chunked + body0 + next, []string{"refused 400"}},
		{"TE.CL", post + host + chunked + "Content-Length: 4\r\n" + body0 + next, []string{"refused 400"}},
		{"CL.CL", post + host + length0 + "Content-Length: 33\r\n\r\n" + next, []string{"refused 400"}},
		{"CL.CL equal", post + host + length0 + length0 + "\r\n" + next, []string{"refused 400"}},
		{"CL list", post + host + "Content-Length: 0, 37\r\n\r\n" + next, []string{"refused 400"}},
		{"CL.0", post + host + "Content-Length: 33\r\nContent-Length:\r\n\r\n" + next, []string{"refused 400"}},
		{"TE.TE", post + host + chunked + "Transfer-Encoding: x\r\n" + body0 + next, []string{"refused 400"}},
		{"TE.TE list", post + host + "Transfer-Encoding: x, chunked\r\n" + body0 + next, []string{"refused 501"}},
		{"TE cut", post + host + "Transfer-Encoding: chunke\r\n" + body0 + next, []string{"refused 501"}},
		{"TE with a space before the colon", post + host + length0 + "Transfer-Encoding : chunked\r\n" + body0 + next, []string{"refused 400"}},
		{"TE with a tab before the colon", post + host + length0 + "Transfer-Encoding\t: chunked\r\n" + body0 + next, []string{"refused 400"}},
		{"TE with a space before the name", post + host + length0 + " Transfer-Encoding: chunked\r\n" + body0 + next, []string{"refused 400"}},
		{"TE with a NUL before the colon", post + host + length0 + "Transfer-Encoding\x00: chunked\r\n" + body0 + next, []string{"refused 400"}},
		{"TE with a vertical tab", post + host + length0 + "Transfer-Encoding:\x0bchunked\r\n" + body0 + next, []string{"refused 400"}},
		{"TE with a form feed", post + host + length0 + "Transfer-Encoding: chunked\x0c\r\n" + body0 + next, []string{"refused 400"}},
		{"TE with a tab", post + host + "Transfer-Encoding:\tchunked\r\n" + body0 + next, []string{"POST /1 a", "GET /hidden a"}},
		{"TE folded", post + host + length0 + "Transfer-Encoding:\r\n chunked\r\n" + body0 + next, []string{"refused 400"}},
		{"TE behind a folded field", post + host + length0 + "A: b\r\n\tTransfer-Encoding: chunked\r\n" + body0 + next, []string{"refused 400"}},
		{"TE behind a bare CR", post + host + length0 + "A: b\rTransfer-Encoding: chunked\r\n" + body0 + next, []string{"refused 400"}},
		{"TE behind a bare LF", post + host + length0 + "A: b\nTransfer-Encoding: chunked\r\n" + body0 + next, []string{"refused 400"}},
		{"TE with an underscore", post + host + length0 + "Transfer_Encoding: chunked\r\n" + body0 + next, []string{"refused 400"}},
		{"TE quoted", post + host + length0 + "Transfer-Encoding: \"chunked\"\r\n" + body0 + next, []string{"refused 400"}},
		{"TE in HTTP/1.0", "POST /1 HTTP/1.0\r\n" + host + chunked + body0 + next, []string{"refused 400"}},
		{"TE identity", post + host + length0 + "Transfer-Encoding: identity\r\n\r\n" + next, []string{"refused 400"}},
		{"TE with a letter that folds to k", post + host + "Transfer-Encoding: chun\u212aed\r\n" + body0 + next, []string{"refused 400"}},
		{"CL with a sign", post + host + "Content-Length: +37\r\n\r\n" + next, []string{"refused 400"}},
		{"CL in hexadecimal", post + host + "Content-Length: 0x21\r\n\r\n" + next, []string{"refused 400"}},
		{"CL that wraps around", post + host + "Content-Length: 18446744073709551616\r\n\r\n" + next, []string{"refused 400"}},
		{"CL with a NUL", post + host + "Content-Length: 33\x00\r\n\r\n" + next, []string{"refused 400"}},
		{"CL named by Connection", post + host + "Connection: Content-Length\r\nContent-Length: 33\r\n\r\n" + next, []string{"POST /1 a " + next}},

		{"an empty name", post + host + length0 + ": 5\r\n\r\n" + next, []string{"refused 400"}},
		{"a line without a colon", post + host + length0 + "GET /hidden HTTP/1.1\r\n\r\n", []string{"refused 400"}},
		{"a head that ends in LF", "GET /1 HTTP/1.1\r\n" + host + "\n" + next, []string{"refused 400"}},
		{"a head that ends in LF CR LF", "GET /1 HTTP/1.1\r\nHost: a\n\r\n" + next, []string{"refused 400"}},
		{"two Hosts", "GET /1 HTTP/1.1\r\n" + host + "Host: b\r\n\r\n", []string{"refused 400"}},
		{"a Host with a path", "GET /1 HTTP/1.1\r\nHost: a/../b\r\n\r\n", []string{"refused 400"}},
		{"a Host with a user", "GET /1 HTTP/1.1\r\nHost: a@b\r\n\r\n", []string{"refused 400"}},
		{"another Host than the target's", "GET http://b/1 HTTP/1.1\r\n" + host + "\r\n", []string{"GET /1 b"}},
		{"HTTP/0.9", "GET /1\r\n\r\n" + next, []string{"refused 400"}},
		{"a request line in a request line", "GET / HTTP/1.1 /1 HTTP/1.1\r\n" + host + "\r\n", []string{"refused 400"}},

		{"a chunk's size with a sign", post + host + chunked + "\r\n+21\r\n" + next, []string{"refused 400"}},
		{"a chunk's size in C", post + host + chunked + "\r\n0x21\r\n" + next, []string{"refused 400"}},
		{"a chunk's size that wraps around", post + host + chunked + "\r\n10000000000000000\r\n" + next, []string{"refused 400"}},
		{"a chunk's size with white space", post + host + chunked + "\r\n0 \r\n\r\n" + next, []string{"refused 400"}},
		{"a chunk's size that ends in LF", post + host + chunked + "\r\n0\n\r\n" + next, []string{"refused 400"}},
		{"a chunk's size that ends in CR", post + host + chunked + "\r\n1\rx\r\n0\r\n\r\n" + next, []string{"refused 400"}},
		{"a chunk longer than its size", post + host + chunked + "\r\n1\r\nxy\r\n0\r\n\r\n" + next, []string{"refused 400"}},
		{"a chunk's data ends in LF", post + host + chunked + "\r\n1\r\nx\n0\r\n\r\n" + next, []string{"refused 400"}},
		{"an extension", post + host + chunked + "\r\n0;a=b\r\n\r\n" + next, []string{"POST /1 a", "GET /hidden a"}},
		{"an extension that ends in LF", post + host + chunked + "\r\n2;\nxx\r\n4c\r\n0\r\n\r\n" + next, []string{"refused 400"}},
		{"an extension with a bare CR", post + host + chunked + "\r\n2;a\rxx\r\n0\r\n\r\n" + next, []string{"refused 400"}},
		{"a line in a quoted extension", post + host + chunked + "\r\n0;a=\"\r\n\r\n" + next + "\"\r\n\r\n", []string{"refused 400"}},
		{"framing in a trailer", post + host + chunked + "\r\n0\r\nContent-Length: 33\r\n\r\n" + next, []string{"POST /1 a", "GET /hidden a"}},
		{"a disguise in a trailer", post + host + chunked + "\r\n0\r\nContent_Length: 37\r\n\r\n" + next, []string{"refused 400"}},
		{"a trailer section that ends in LF", post + host + chunked + "\r\n0\r\nA: b\n\r\n" + next, []string{"refused 400"}},
		{"no trailer section", post + host + chunked + "\r\n0\r\n" + next, []string{"refused 400"}},
	}
}

// TestSmuggling: every request that is taken is the one that any program sees.
func TestSmuggling(t *testing.T) {
	for _, c := range vectors() {
		if got := conversation(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// conversation is the requests on a connection: method, path, host and body.
func conversation(in string) (seen []string) {
	var r Request
	for len(in) > 0 {
		n, err := r.Parse([]byte(in), &roomy)
		if err != nil {
			return append(seen, refusal(err))
		}
		if n == 0 {
			return append(seen, "unfinished")
		}
		in = in[n:]
		words := []string{string(r.Method), string(r.Path), string(r.Host)}
		var body string
		switch {
		case r.Length == LengthChunked:
			b, used, d, err := decode(in, len(in), roomy)
			if err != nil {
				return append(seen, refusal(err))
			}
			if !d.Done() {
				return append(seen, "unfinished")
			}
			body, in = b, in[used:]
		case r.Length > int64(len(in)):
			return append(seen, "unfinished")
		default:
			body, in = in[:r.Length], in[r.Length:]
		}
		if body != "" {
			words = append(words, body)
		}
		seen = append(seen, strings.Join(words, " "))
	}
	return seen
}

func refusal(err error) string {
	switch statusOf(err) {
	case 400:
		return "refused 400"
	case 501:
		return "refused 501"
	}
	return "refused otherwise"
}
