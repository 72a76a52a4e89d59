package h2

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func TestRequestsAreAnswered(t *testing.T) {
	g := newRig(t, nil).greet()
	g.headers(1, true, get())
	g.send()
	g.want("HEADERS 1 :status=200", `DATA 1 "" end`)
	g.headers(3, false, post("content-length", "5"))
	_ = g.framer.WriteData(3, false, []byte("he"))
	_ = g.framer.WriteDataPadded(3, true, []byte("llo"), make([]byte, 7))
	g.send()
	g.want("HEADERS 3 :status=200", `DATA 3 "hello"`, `DATA 3 "" end`)
}

func TestTrailers(t *testing.T) {
	g := newRig(t, nil).greet()
	g.headers(1, false, post())
	_ = g.framer.WriteData(1, false, []byte("hello"))
	g.headers(1, true, []string{"grpc-status", "0", "content-length", "7"})
	g.send()
	g.want("HEADERS 1 :status=200", `DATA 1 "hello"`, "HEADERS 1 grpc-status=0 end")
	for i, bad := range [][]string{{":status", "200"}, {"Upper", "x"}, {"a", "x\r\ny"}} {
		id := uint32(3 + 2*i)
		g.headers(id, false, post())
		g.headers(id, true, bad)
		g.send()
		g.wantLater(fmt.Sprintf("RST_STREAM %d PROTOCOL_ERROR", id))
	}
	g.headers(9, false, post())
	g.headers(9, false, []string{"a", "b"}) // without an end
	g.send()
	g.wantLater("RST_STREAM 9 PROTOCOL_ERROR")
}

// What is malformed is nobody's to answer; what HTTP/1.1 refuses too is answered.
func TestRequestsThatAreRefused(t *testing.T) {
	const rst, ok = "RST_STREAM 1 PROTOCOL_ERROR", "HEADERS 1 :status=200"
	without := func(name string, more ...string) []string {
		fields := get(more...)
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == name {
				return append(fields[:i:i], fields[i+2:]...)
			}
		}
		return fields
	}
	with := func(name, value string, more ...string) []string {
		fields := get(more...)
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == name {
				fields[i+1] = value
			}
		}
		return fields
	}
	refused := func(status int) string { return fmt.Sprintf("HEADERS 1 :status=%d end", status) }
	for name, c := range map[string]struct {
		fields []string
		want   string
	}{
		"plain":                       {get(), ok},
		"no method":                   {without(":method"), rst},
		"no scheme":                   {without(":scheme"), rst},
		"no path":                     {without(":path"), rst},
		"no authority":                {without(":authority"), rst},
		"a host instead":              {without(":authority", "host", "b.example"), ok},
		"both":                        {get("host", "A.example"), ok},
		"both, not alike":             {get("host", "b.example"), rst},
		"two hosts":                   {without(":authority", "host", "a", "host", "a"), rst},
		"two paths":                   {get(":path", "/"), rst},
		"unknown pseudo-field":        {append([]string{":protocol", "websocket"}, get()...), rst},
		"a pseudo-field of answers":   {append([]string{":status", "200"}, get()...), rst},
		"a late pseudo-field":         {append([]string{"a", "b"}, get()...), rst},
		"an empty path":               {with(":path", ""), rst},
		"a path without a slash":      {with(":path", "a"), rst},
		"an absolute path":            {with(":path", "http://b.example/"), rst},
		"a space in the path":         {with(":path", "/a b"), rst},
		"a line in the path":          {with(":path", "/ HTTP/1.1\r\nHost: b\r\n\r\nGET /"), rst},
		"a fragment":                  {with(":path", "/#a"), refused(400)},
		"a broken escape":             {with(":path", "/%4"), refused(400)},
		"a byte beyond ASCII":         {with(":path", "/\xe4"), refused(400)},
		"asterisk":                    {with(":path", "*"), rst},
		"asterisk of OPTIONS":         {[]string{":method", "OPTIONS", ":scheme", "http", ":path", "*", ":authority", "a"}, ok},
		"a method with a space":       {with(":method", "GET /"), rst},
		"a method with a colon":       {with(":method", "GE:T"), refused(400)},
		"a long method":               {with(":method", strings.Repeat("A", 33)), refused(501)},
		"a scheme unknown":            {with(":scheme", "ftp"), rst},
		"a user in the authority":     {with(":authority", "me@a.example"), refused(400)},
		"a slash in the authority":    {with(":authority", "a/b"), refused(400)},
		"a line in the authority":     {with(":authority", "a\r\nX: y"), rst},
		"a CONNECT":                   {[]string{":method", "CONNECT", ":authority", "a:443"}, ok},
		"a CONNECT with a path":       {with(":method", "CONNECT"), rst},
		"a CONNECT without authority": {[]string{":method", "CONNECT"}, rst},
		"an extended CONNECT":         {with(":method", "CONNECT", ":protocol", "websocket"), rst},
		"a capital letter":            {get("X-a", "b"), rst},
		"an empty name":               {get("", "b"), rst},
		"a colon in a name":           {get("a:b", "c"), rst},
		"a space in a name":           {get("a b", "c"), rst},
		"a line in a name":            {get("a\r\nb", "c"), rst},
		"a NUL in a value":            {get("a", "b\x00c"), rst},
		"a CR in a value":             {get("a", "b\rc"), rst},
		"an LF in a value":            {get("a", "b\nc"), rst},
		"a DEL in a value":            {get("a", "b\x7fc"), rst},
		"a space before a value":      {get("a", " b"), rst},
		"a tab after a value":         {get("a", "b\t"), rst},
		"a tab in a value":            {get("a", "b\tc"), ok},
		"connection":                  {get("connection", "close"), rst},
		"keep-alive":                  {get("keep-alive", "a"), rst},
		"proxy-connection":            {get("proxy-connection", "close"), rst},
		"transfer-encoding":           {get("transfer-encoding", "chunked"), rst},
		"transfer_encoding":           {get("transfer_encoding", "chunked"), refused(400)},
		"upgrade":                     {get("upgrade", "h2c"), rst},
		"te trailers":                 {get("te", "trailers"), ok},
		"te gzip":                     {get("te", "trailers, gzip"), rst},
		"content-length":              {get("content-length", "0"), ok},
		"content-length, not there":   {get("content-length", "1"), rst},
		"content-length, two":         {get("content-length", "0", "content-length", "0"), refused(400)},
		"content-length, signed":      {get("content-length", "+0"), refused(400)},
		"content-length, empty":       {get("content-length", ""), rst},
		"too large":                   {get("a", strings.Repeat("x", maxHead)), refused(431)},
		"too many":                    {get(strings.Split(strings.Repeat("a,b,", maxFields)+"a,b", ",")...), refused(431)},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil).greet()
			block := g.encode(c.fields)
			first := block[:min(len(block), plainFrame)]
			_ = g.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: first, EndStream: true, EndHeaders: len(first) == len(block)})
			for block = block[len(first):]; len(block) > 0; {
				next := block[:min(len(block), plainFrame)]
				block = block[len(next):]
				_ = g.framer.WriteContinuation(1, len(block) == 0, next)
			}
			g.send()
			g.want(c.want)
			g.headers(3, true, get("a", "b")) // the tables are as they should be
			g.send()
			g.wantLater("HEADERS 3 :status=200")
		})
	}
}

func TestContentLengthsThatLie(t *testing.T) {
	for name, c := range map[string]struct {
		length string
		data   []string // the last one ends the stream
	}{
		"too much":         {"3", []string{"abcd"}},
		"too little":       {"3", []string{"ab"}},
		"too much, later":  {"3", []string{"ab", "cd"}},
		"nothing":          {"3", []string{""}},
		"something for 0":  {"0", []string{"a"}},
		"more than it all": {"3", []string{"abc", "d"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil).greet()
			g.headers(1, false, post("content-length", c.length))
			for i, d := range c.data {
				_ = g.framer.WriteData(1, i == len(c.data)-1, []byte(d))
			}
			g.send()
			g.wantLater("RST_STREAM 1 PROTOCOL_ERROR")
		})
	}
	g := newRig(t, nil).greet()
	g.headers(1, false, post("content-length", "3"))
	_ = g.framer.WriteData(1, false, []byte("ab"))
	g.headers(1, true, []string{"a", "b"})
	g.send()
	g.wantLater("RST_STREAM 1 PROTOCOL_ERROR")
}

// What HTTP/1.1 has in one piece is joined.
func TestWhatARequestIs(t *testing.T) {
	seen := make(chan string, 1)
	g := newRig(t, func(s *Stream) {
		r := &s.Request
		text := fmt.Sprintf("%s %s %s host=%s length=%d trailers=%v", r.Method, r.Path, r.Query, r.Host, r.Length, r.Trailers)
		for _, f := range r.Fields {
			text += fmt.Sprintf(" %s=%s", f.Name, f.Value)
		}
		seen <- text
		echo(s)
	}).greet()
	g.headers(1, false, []string{":method", "PUT", ":path", "/a%20b?c", ":scheme", "https", ":authority", "b.example:8",
		"cookie", "a=b", "x", "y", "te", "trailers", "cookie", "c=d", "cookie", "e=f"})
	g.send()
	const want = "PUT /a%20b ?c host=b.example:8 length=-1 trailers=true x=y te=trailers host=b.example:8 cookie=a=b; c=d; e=f"
	if got := <-seen; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestMoreStreamsThanAreAllowed(t *testing.T) {
	release := make(chan struct{})
	g := newRig(t, func(s *Stream) {
		<-release
		echo(s)
	}).greet()
	for i := range MaxStreams {
		g.headers(uint32(2*i+1), true, get())
	}
	const last = 2*MaxStreams + 1
	g.headers(last, true, get())
	g.send()
	g.want(fmt.Sprintf("RST_STREAM %d REFUSED_STREAM", last))
	close(release)
	for range MaxStreams {
		g.next()
		g.next()
	}
	g.headers(last+2, true, get())
	g.send()
	g.wantLater(fmt.Sprintf("HEADERS %d :status=200", last+2))
}

// A request that the client takes back while its handler is at work counts until
// that has ended.
func TestHandlersOfStreamsThatAreGoneAreBounded(t *testing.T) {
	release := make(chan struct{})
	g := newRig(t, func(s *Stream) {
		<-release
		s.Release()
	}).greet()
	defer close(release)
	g.conn.mu.Lock()
	g.conn.resets = allowance{left: 10000, full: 10000}
	g.conn.mu.Unlock()
	for i := range 2 * MaxStreams {
		g.headers(uint32(2*i+1), true, get())
		_ = g.framer.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
	}
	const last = 4*MaxStreams + 1
	g.headers(last, true, get())
	g.send()
	g.want(fmt.Sprintf("RST_STREAM %d REFUSED_STREAM", last))
}

// Frames that were on their way when a stream ended.
func TestFramesOnStreamsThatAreGone(t *testing.T) {
	g := newRig(t, func(s *Stream) {
		_ = s.WriteHead(status(413), true)
		s.CloseRead()
		_ = s.Flush()
		s.Release()
	}).greet()
	g.headers(1, false, post())
	g.send()
	g.want("HEADERS 1 :status=413 end")
	for range 5 { // as much as the connection takes
		for range 32 {
			_ = g.framer.WriteData(1, false, make([]byte, plainFrame))
		}
		_ = g.framer.WritePing(false, [8]byte{1})
		g.send()
		g.wantLater(`PING ack "\x01\x00\x00\x00\x00\x00\x00\x00"`)
	}
	_ = g.framer.WriteRSTStream(1, http2.ErrCodeCancel)
	_ = g.framer.WriteWindowUpdate(1, 1)
	g.headers(3, true, get())
	g.send()
	g.wantLater("HEADERS 3 :status=413 end")
	g.headers(3, true, get())
	g.send()
	g.wantLater("GOAWAY 3 STREAM_CLOSED")
	g.wantEnd()
}
