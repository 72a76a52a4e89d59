package proxy

import (
	"errors"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/upstream"
)

// answerLimits bound the head of an answer and its trailers.
var answerLimits = h1.Limits{Bytes: 1 << 20, Fields: 2000}

// link1 speaks HTTP/1.1, on a connection that it has for itself.
type link1 struct {
	conn    *upstream.Conn
	req     *h1.Request
	resp    h1.Response
	chunks  h1.Chunked // of the answer
	left    int64      // of the answer's body, where that has a length
	stopped bool       // stopSending was called
	out     []byte     // the request as it is sent
}

func (l *link1) start(c *upstream.Conn, r *h1.Request) { l.conn, l.req, l.stopped = c, r, false }

// forget drops what belongs to the request.
func (l *link1) forget() {
	if cap(l.out) > copySize {
		l.out = nil
	}
	l.resp.Reset()
	l.conn, l.req = nil, nil
}

func (l *link1) idled() bool { return l.conn.Reused }
func (l *link1) sent() bool  { return l.conn.Sent() }
func (l *link1) interrupt()  { l.conn.Interrupt() }

func (l *link1) send(x *exchange) error {
	l.out = appendRequest(l.out[:0], x.req, x.from)
	chunked := x.kept != nil && x.req.Length == h1.LengthChunked
	apart := len(x.kept) > joined && !chunked
	switch {
	case chunked:
		l.out = appendChunk(l.out, x.kept)
	case !apart:
		l.out = append(l.out, x.kept...)
	}
	_, err := l.conn.Write(l.out)
	if err == nil && apart {
		_, err = l.conn.Write(x.kept)
	}
	return err
}

// appendChunk appends a whole body in chunks.
func appendChunk(dst, body []byte) []byte {
	if len(body) > 0 {
		dst = h1.AppendEnd(append(h1.AppendChunkSize(dst, len(body)), body...))
	}
	return h1.AppendEnd(h1.AppendLastChunk(dst))
}

func (l *link1) sendPiece(buf []byte, n int, _ bool) error {
	if l.req.Length != h1.LengthChunked {
		_, err := l.conn.Write(buf[bodyAt : bodyAt+n])
		return err
	}
	var size [bodyAt]byte
	head := h1.AppendChunkSize(size[:0], n)
	begin := bodyAt - len(head)
	copy(buf[begin:], head)
	_, err := l.conn.Write(h1.AppendEnd(buf[begin : bodyAt+n]))
	return err
}

func (l *link1) sendEnd(trailers []h1.Field) error {
	if l.req.Length != h1.LengthChunked {
		return nil
	}
	end := h1.AppendLastChunk(nil)
	for _, f := range trailers {
		end = h1.AppendField(end, f.Name, f.Value)
	}
	_, err := l.conn.Write(h1.AppendEnd(end))
	return err
}

func (l *link1) stopSending() {
	l.stopped = true
	_ = l.conn.TCP.SetWriteDeadline(time.Unix(1, 0))
}

func (l *link1) head() (*h1.Response, error) {
	toHEAD := string(l.req.Method) == http.MethodHead
	l.resp.Reset()
	for {
		if len(l.conn.Buffered()) > 0 {
			n, err := l.resp.Parse(l.conn.Buffered(), &answerLimits, toHEAD)
			if n > 0 || err != nil {
				l.conn.Skip(n)
				l.beginBody()
				return &l.resp, err
			}
		}
		if err := l.conn.Fill(); err != nil {
			return nil, unexpected(err)
		}
	}
}

func (l *link1) beginBody() {
	switch l.left = l.resp.Length; l.left {
	case h1.LengthChunked:
		l.chunks.Reset(answerLimits)
	case h1.LengthUntilClose:
		l.left = math.MaxInt64
	}
}

func (l *link1) piece() (p []byte, err error) {
	switch {
	case l.left < 0:
		var n int
		p, n, err = l.chunks.Next(l.conn.Buffered())
		l.conn.Skip(n)
		if err == nil && len(p) == 0 && l.chunks.Done() {
			err = io.EOF
		}
		return p, err
	case l.left == 0:
		return nil, io.EOF
	}
	p = l.conn.Buffered()
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	l.left -= int64(len(p))
	l.conn.Skip(len(p))
	return p, nil
}

func (l *link1) splice(to client) (moved int64, read, write error) {
	if l.left <= 0 || len(l.conn.Buffered()) > 0 {
		return 0, nil, nil
	}
	moved, read, write = to.splice(&l.conn.Conn, l.left)
	l.left -= moved
	return moved, read, write
}

func (l *link1) await() error {
	l.conn.Release()
	err := l.conn.Fill()
	if errors.Is(err, io.EOF) && l.resp.Length == h1.LengthUntilClose {
		l.left = 0
		return nil
	}
	return unexpected(err)
}

func (l *link1) trailers() []h1.Field {
	if l.left < 0 {
		return l.chunks.Trailers
	}
	return nil
}

func (l *link1) again() bool { return !l.resp.Close && len(l.conn.Buffered()) == 0 }

func (l *link1) leave(keep bool) {
	if !keep {
		l.conn.Close()
		return
	}
	if l.stopped {
		_ = l.conn.TCP.SetWriteDeadline(time.Time{})
	}
	l.conn.Keep()
}
