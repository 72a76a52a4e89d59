package proxy

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/h2"
	"github.com/droverhq/drover/internal/gateway/socket"
)

var http2s = sync.Pool{New: func() any { return new(http2) }}

// Names of what the gateway says itself, never written to.
var (
	statusName      = []byte(":status")
	dateName        = []byte("date")
	lengthName      = []byte("content-length")
	trailerName     = []byte("trailer")
	continueStatus  = []byte("100")
	contentTypeName = []byte("content-type")
	plainText       = []byte("text/plain; charset=utf-8")
	sniffName       = []byte("x-content-type-options")
	noSniff         = []byte("nosniff")
	retryName       = []byte("retry-after")
	inASecond       = []byte("1")
)

// http2 is the client of a request that came by HTTP/2.
type http2 struct {
	on     *http2Conn
	stream *h2.Stream
	x      exchange
	began  time.Duration
	limit  time.Duration // 0: none

	fields []h1.Field // of what is being sent
	text   []byte     // of those
	kept   []byte     // a body that came whole
	left   int64      // of an answer whose length was said; -1: it was not
	done   bool       // all of the answer was sent
	call   bool       // the answer has begun, and is gRPC's

	expecting expecting
}

func (h *http2) start(m *http2Conn, s *h2.Stream) {
	h.on, h.stream = m, s
	h.left, h.done, h.call = -1, false, false
	h.expecting.reset()
}

// stop forgets the request.
func (h *http2) stop() {
	h.x.forget()
	clear(h.fields[:cap(h.fields)])
	h.on, h.stream, h.fields, h.text = nil, nil, h.fields[:0], h.text[:0]
	if cap(h.kept) > joined {
		h.kept = nil
	}
}

// answer has the request answered. The end of the answer leaves last: who has it may
// count on the rest, the backend's connection that is free again included.
func (h *http2) answer() {
	defer func() { _ = h.stream.Flush() }()
	c := h.on.conn
	config := c.front.config.Load()
	if refused := h.stream.Refused; refused != nil {
		h.plain(refused.Status, refused.Reason, false)
		c.front.refused(config, c.peer, refused)
		return
	}
	h.x.start(config, h, &h.stream.Request, c)
	h.began, h.limit = h.x.began, time.Duration(config.Limits.RequestTimeout)
	if !h.x.choose() {
		return
	}
	h.on.busy(h)
	h.stream.Watch(h)
	h.x.run()
}

// Gone is told when nothing can be answered any more.
func (h *http2) Gone() { h.x.end(errClientGone) }

func (h *http2) protocol() string { return "HTTP/2" }

func (h *http2) early(n int64) []byte {
	have, rest := h.stream.Buffered()
	switch {
	case !rest || have > keepBody:
		return nil
	case n == h1.LengthChunked && len(h.stream.Trailers()) > 0 || n >= 0 && int64(have) != n:
		return nil
	}
	h.kept = slices.Grow(h.kept[:0], max(have, 1))[:have] // not nil
	if have > 0 {
		if m, _ := h.stream.Read(h.kept); m != have {
			return nil
		}
	}
	return h.kept
}

// read asks a client that waits for it to send its body.
func (h *http2) read(p []byte) (int, error) {
	if h.stream.Request.Expect100 {
		if err := h.expecting.proceed(h.proceed); err != nil {
			return 0, err
		}
	}
	return h.stream.Read(p)
}

func (h *http2) proceed() error {
	head := []h1.Field{{Name: statusName, Value: continueStatus}} // h.fields are the answer's
	if err := h.stream.WriteHead(head, false); err != nil {
		return err
	}
	return h.stream.Flush()
}

func (h *http2) taken() bool            { return h.stream.Taken() }
func (h *http2) trailers() []h1.Field   { return h.stream.Trailers() }
func (h *http2) limitRead(at time.Time) { h.stream.SetReadDeadline(at) }

func (h *http2) interim(a *h1.Response) error {
	h.status(a.Status)
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Hop && f.Kind != h1.ContentLength {
			h.fields = append(h.fields, *f)
		}
	}
	if err := h.stream.WriteHead(h.fields, false); err != nil {
		return err
	}
	return h.stream.Flush()
}

// status begins a head.
func (h *http2) status(status int) {
	h.fields, h.text = h.fields[:0], strconv.AppendInt(h.text[:0], int64(status), 10)
	h.add(statusName, h.text)
}

func (h *http2) add(name, value []byte) {
	h.fields = append(h.fields, h1.Field{Name: name, Value: value})
}

// append adds a field whose value is kept here.
func (h *http2) append(name []byte, value func(dst []byte) []byte) {
	from := len(h.text)
	h.text = value(h.text)
	if v := h.text[from:]; len(v) > 0 {
		h.add(name, v)
	}
}

func (h *http2) begin(a *h1.Response) {
	h.status(a.Status)
	none := a.Status == http.StatusNoContent || a.Status == http.StatusNotModified || string(h.stream.Request.Method) == http.MethodHead
	if h.left = max(a.Length, -1); none {
		h.left = 0
	}
	dated, sized := false, h.left >= 0 && a.Status != http.StatusNoContent
	for i := range a.Fields {
		f := &a.Fields[i]
		switch {
		case f.Kind == h1.ContentLength && !sized:
			continue
		case f.Kind == h1.Trailer && h.left < 0:
			h.append(trailerName, func(dst []byte) []byte { return appendTrailerList(dst, f.Value) })
			continue
		case f.Hop:
			continue
		case f.Kind == h1.Date:
			dated = true
		}
		h.fields = append(h.fields, *f)
	}
	h.call = isGRPC(a.Fields)
	h.endHead(dated, h.left == 0)
}

// endHead adds what is the gateway's to say. What became of it is seen by who sends more.
func (h *http2) endHead(dated, end bool) {
	if h.stream.Request.Expect100 {
		h.expecting.end()
	}
	if !dated {
		h.append(dateName, h.on.conn.front.appendDate)
	}
	h.done = end
	_ = h.stream.WriteHead(h.fields, end)
}

func (h *http2) write(p []byte, more bool) error {
	if len(p) > 0 {
		end := h.left == int64(len(p))
		if err := h.stream.WriteData(p, end); err != nil {
			return err
		}
		if h.left >= 0 {
			h.left -= int64(len(p))
		}
		h.done = end
	}
	if more {
		return nil
	}
	return h.stream.Flush()
}

// splice moves nothing: what is passed on goes into frames.
func (h *http2) splice(*socket.Conn, int64) (moved int64, read, write error) { return 0, nil, nil }

func (h *http2) finish(trailers []h1.Field) error {
	switch {
	case h.done:
	case h.left > 0: // it was ended before
		h.abort()
		return nil
	case len(trailers) > 0:
		if err := h.stream.WriteHead(trailers, true); err != nil {
			return err
		}
	default:
		if err := h.stream.WriteData(nil, true); err != nil {
			return err
		}
	}
	h.stream.CloseRead()
	return nil
}

func (h *http2) plain(status int, why string, again bool) {
	if isGRPC(h.stream.Request.Fields) {
		h.plainGRPC(status, why)
		return
	}
	text := strconv.Itoa(status) + " " + http.StatusText(status) + ": " + why + "\n"
	h.status(status)
	h.add(contentTypeName, plainText)
	h.add(sniffName, noSniff)
	if again {
		h.add(retryName, inASecond)
	}
	h.append(lengthName, func(dst []byte) []byte { return strconv.AppendInt(dst, int64(len(text)), 10) })
	toHEAD := string(h.stream.Request.Method) == http.MethodHead
	h.endHead(false, toHEAD)
	if !toHEAD {
		_ = h.stream.WriteData([]byte(text), true)
	}
	h.stream.CloseRead()
}

// abort resets the stream. A call of gRPC's whose answer has begun is told that it
// may be made again: a reset would say that something is wrong with it.
func (h *http2) abort() {
	if h.call && !h.done && h.stream.WriteHead(grpcBroken, true) == nil {
		h.stream.CloseRead()
		return
	}
	h.stream.Reset(xhttp2.ErrCodeInternal)
}

// takeOver is refused: other streams use the connection.
func (h *http2) takeOver() *socket.Conn { return nil }
