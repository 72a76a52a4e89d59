package proxy

import (
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/socket"
)

// joined is how much of a body is copied behind what comes before it, so that both
// are one write. More than that is written from where it is.
const joined = 4 << 10

var (
	crlf      = []byte("\r\n")
	proceed   = []byte("HTTP/1.1 100 Continue\r\n\r\n")
	closeText = "Connection: close\r\n"
)

// framing is how a client sees where an answer's body ends.
type framing uint8

const (
	noBody framing = iota
	byLength
	byChunks
	byClose
)

// http1 is the client of a request that came by HTTP/1.1.
type http1 struct {
	conn *conn
	req  *h1.Request
	body body
	// last: the connection carries nothing after this answer.
	last bool
	// mine: the connection has become the exchange's.
	mine    bool
	framing framing
	left    int64  // of a body byLength
	out     []byte // of the answer, not written yet
	vec     [3][]byte
	pieces  net.Buffers // of vec

	expecting expecting
}

func (h *http1) start(c *conn, req *h1.Request) {
	h.conn, h.req = c, req
	h.last, h.mine, h.framing, h.out = false, false, noBody, h.out[:0]
	h.expecting.reset()
}

// stop forgets the request. What must not be kept for the next one is dropped.
func (h *http1) stop() {
	h.body.stop()
	if cap(h.out) > copySize {
		h.out = nil
	}
	h.conn = nil
}

func (h *http1) protocol() string {
	if h.req.Minor == 0 {
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

func (h *http1) early(n int64) []byte { return h.body.early(n) }
func (h *http1) taken() bool          { return h.body.whole.Load() }

func (h *http1) trailers() []h1.Field {
	if h.body.chunks == nil {
		return nil
	}
	return h.body.chunks.Trailers
}

func (h *http1) limitRead(at time.Time) { _ = h.conn.in.TCP.SetReadDeadline(at) }

// read asks a client that waits for it to send its body.
func (h *http1) read(p []byte) (int, error) {
	if h.req.Expect100 {
		if err := h.expecting.proceed(h.proceed); err != nil {
			return 0, err
		}
	}
	return h.body.read(p)
}

func (h *http1) proceed() error {
	h.conn.progress()
	return h.conn.in.Interject(proceed) // others may be in send
}

func (h *http1) interim(a *h1.Response) error {
	h.statusLine(a.Status, a.Reason)
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Hop && f.Kind != h1.ContentLength {
			h.out = h1.AppendField(h.out, f.Name, f.Value)
		}
	}
	h.out = h1.AppendEnd(h.out)
	return h.flush()
}

func (h *http1) begin(a *h1.Response) {
	h.beginLine(a.Status, a.Reason)
	h.framing = h.framingOf(a)
	h.left = a.Length
	dated, sized, counted := false, h.framing != byChunks && a.Status != http.StatusNoContent, false
	for i := range a.Fields {
		f := &a.Fields[i]
		switch {
		case f.Kind == h1.ContentLength:
			if counted = sized; !sized {
				continue
			}
		case f.Hop:
			if f.Kind == h1.Trailer && h.framing == byChunks {
				h.announce(f.Value)
			}
			continue
		case f.Kind == h1.Date:
			dated = true
		}
		h.out = h1.AppendField(h.out, f.Name, f.Value)
	}
	switch {
	case h.framing == byChunks:
		h.out = h1.AppendLength(h.out, h1.LengthChunked)
	case h.framing == byLength && !counted: // in HTTP/2 the end says so itself
		h.out = h1.AppendLength(h.out, h.left)
	}
	h.endHead(dated)
}

func (h *http1) framingOf(a *h1.Response) framing {
	switch {
	case a.Status == http.StatusNoContent || a.Status == http.StatusNotModified || string(h.req.Method) == http.MethodHead:
		return noBody
	case a.Length >= 0:
		return byLength
	case h.req.Minor > 0:
		return byChunks
	}
	return byClose // HTTP/1.0 knows no chunks
}

func (h *http1) beginLine(status int, reason []byte) {
	if h.req.Expect100 {
		h.expecting.end()
	}
	h.statusLine(status, reason)
	if h.req.Minor == 0 {
		h.out[len("HTTP/1.")] = '0'
	}
}

func (h *http1) statusLine(status int, reason []byte) {
	if reason == nil { // in HTTP/2 there is none
		h.out = h1.AppendStatusLine(h.out[:0], status, http.StatusText(status))
	} else {
		h.out = h1.AppendStatusLine(h.out[:0], status, reason)
	}
}

// endHead adds what is the gateway's to say.
func (h *http1) endHead(dated bool) {
	if !dated { // RFC 9110 §6.6.1
		h.out = append(h.out, h.conn.front.date()...)
	}
	connect := string(h.req.Method) == http.MethodConnect // what follows may not be for us
	h.last = h.last || connect || h.req.Close || h.framing == byClose || !h.taken() || h.conn.ends()
	switch {
	case h.last:
		h.out = append(h.out, closeText...)
	case h.req.Minor == 0:
		h.out = append(h.out, "Connection: keep-alive\r\n"...)
	}
	h.out = h1.AppendEnd(h.out)
}

// announce names the trailers that may follow.
func (h *http1) announce(list []byte) {
	h.out = appendTrailerNames(h.out, list)
}

func (h *http1) write(p []byte, more bool) error {
	h.left -= int64(len(p))
	switch {
	case h.framing == byChunks && len(p) > 0:
		return h.writeChunk(p, more)
	case len(h.out) == 0 && len(p) > 0:
		return h.send(p)
	case len(h.out)+len(p) <= joined:
		h.out = append(h.out, p...)
		return h.flush()
	}
	return h.sendAll(p, nil)
}

func (h *http1) writeChunk(p []byte, more bool) error {
	h.out = h1.AppendChunkSize(h.out, len(p))
	if len(h.out)+len(p) > joined {
		return h.sendAll(p, crlf)
	}
	h.out = append(append(h.out, p...), crlf...)
	if more {
		return nil
	}
	return h.flush()
}

func (h *http1) splice(from *socket.Conn, n int64) (moved int64, read, write error) {
	if h.framing != byLength && h.framing != byClose || len(h.out) > 0 || h.conn.in.Secured() {
		return 0, nil, nil
	}
	h.conn.progress()
	moved, read, write = from.SpliceTo(h.conn.in.TCP, n)
	h.left -= moved
	return moved, read, write
}

func (h *http1) finish(trailers []h1.Field) error {
	if h.framing == byChunks {
		h.out = h1.AppendLastChunk(h.out)
		for i := range trailers {
			h.out = h1.AppendField(h.out, trailers[i].Name, trailers[i].Value)
		}
		h.out = h1.AppendEnd(h.out)
	}
	h.last = h.last || h.framing == byLength && h.left > 0 // it was ended before
	return h.flush()
}

func (h *http1) flush() error {
	if len(h.out) == 0 {
		return nil
	}
	err := h.send(h.out)
	h.out = h.out[:0]
	return err
}

// sendAll writes out, p and end as one.
func (h *http1) sendAll(p, end []byte) error {
	h.vec = [3][]byte{h.out, p, end}
	h.pieces = h.vec[:]
	h.conn.progress()
	err := h.conn.in.WriteAll(&h.pieces)
	h.vec, h.out = [3][]byte{}, h.out[:0]
	return err
}

func (h *http1) send(p []byte) error {
	h.conn.progress()
	_, err := h.conn.in.Write(p)
	return err
}

func (h *http1) plain(status int, why string, again bool) {
	reason := http.StatusText(status)
	h.beginLine(status, []byte(reason))
	text := strconv.Itoa(status) + " " + reason + ": " + why + "\n"
	h.out = append(h.out, "Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"...)
	if again {
		h.out = append(h.out, "Retry-After: 1\r\n"...)
	}
	h.out = h1.AppendLength(h.out, int64(len(text)))
	h.endHead(false)
	if string(h.req.Method) != http.MethodHead {
		h.out = append(h.out, text...)
	}
	if h.flush() != nil {
		h.last = true
	}
}

// abort has the connection closed. Where that alone says that a body is whole, it is reset.
func (h *http1) abort() {
	h.last, h.out = true, h.out[:0]
	if h.framing == byClose {
		h.conn.in.Abort()
	}
}

func (h *http1) takeOver() *socket.Conn {
	h.mine = true
	h.conn.takenOver()
	return &h.conn.in
}

// refuse answers what was not understood.
func (h *http1) refuse(e *h1.Error) {
	h.last = true
	h.req.Minor, h.req.Method = 1, nil
	h.plain(e.Status, e.Reason, false)
}
