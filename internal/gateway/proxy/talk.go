package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/gateway/upstream"
)

const copySize = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// talk sends the request on c and passes on the answer. When it returns, nobody
// uses c any more.
func (x *exchange) talk(c *upstream.Conn) (o outcome) {
	o.reused = c.Reused
	writeHead(c.W, x.r, x.head)
	_, _ = c.W.Write(x.kept)
	err := c.W.Flush()
	if err != nil && !c.Sent() {
		o.err = err
		return o
	}
	// After a broken write there may still be an answer to read, an early refusal.
	var up *upload
	if x.streams() {
		up = x.startUpload(c)
	}
	resp, err := x.readHead(c, up, &o)
	if err == nil {
		err = x.passOn(c, resp, up, &o)
	}
	if up != nil {
		up.stop(err == nil)
		x.again.whole, o.deaf = !up.begun, up.broke
		err = up.settle(&o, err)
	}
	o.sent, o.err = c.Sent(), err
	return o
}

// readHead reads the answer's head. Interim answers are passed on.
func (x *exchange) readHead(c *upstream.Conn, up *upload, o *outcome) (*http.Response, error) {
	for {
		began := c.Taken()
		resp, err := http.ReadResponse(c.R, x.r)
		if err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		if resp.Close {
			restoreConnection(resp, c.Head(began))
		}
		switch {
		case resp.StatusCode < 100:
			return nil, fmt.Errorf("read the answer: its status is %d", resp.StatusCode)
		case resp.StatusCode == http.StatusContinue:
			if up != nil {
				up.proceed()
			}
		case resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode >= 200:
			c.HeadRead()
			return resp, nil
		case x.r.ProtoAtLeast(1, 1):
			o.forwarded = true
			x.passInterim(resp)
		}
	}
}

func (x *exchange) passInterim(resp *http.Response) {
	h := x.w.Header()
	copyHead(h, resp.Header)
	x.w.WriteHeader(resp.StatusCode)
	clear(h)
}

// passOn passes the answer on to the client.
func (x *exchange) passOn(c *upstream.Conn, resp *http.Response, up *upload, o *outcome) error {
	o.status = resp.StatusCode
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return x.upgrade(c, resp, o)
	}
	h := x.w.Header()
	copyHead(h, resp.Header)
	announceTrailers(h, resp)
	if up != nil && !up.taken.Load() {
		h["Connection"] = []string{"close"} // the rest of the upload will not be read
	}
	o.forwarded = true
	o.stream = strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	o.orderly = o.stream
	x.server.mark(h)
	x.w.WriteHeader(resp.StatusCode)
	if err := x.copyBody(c, resp, o); err != nil {
		return err
	}
	x.passTrailers(h, resp)
	o.keep = !resp.Close && (up == nil || up.taken.Load() && up.complete()) && c.R.Buffered() == 0
	return nil
}

// copyBody passes the body on as it comes: what cannot be followed by more at
// once is flushed.
func (x *exchange) copyBody(c *upstream.Conn, resp *http.Response, o *outcome) error {
	if resp.ContentLength == 0 || resp.Body == http.NoBody {
		return nil
	}
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	left := resp.ContentLength
	if c.R.Buffered() == 0 {
		// The body may be long in coming: the client can have the head meanwhile.
		if err := x.write(nil, true); err != nil {
			o.clientGone = true
			return fmt.Errorf("write to the client: %w", err)
		}
	}
	for {
		n, err := resp.Body.Read(buf[:])
		left -= int64(n)
		if n > 0 {
			whole := left == 0 || errors.Is(err, io.EOF)
			if werr := x.write(buf[:n], !whole && c.R.Buffered() == 0); werr != nil {
				o.clientGone = true
				return fmt.Errorf("write to the client: %w", werr)
			}
			if whole {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the answer's body: %w", err)
		}
	}
}

func (x *exchange) write(p []byte, flush bool) error {
	if len(p) > 0 {
		if _, err := x.w.Write(p); err != nil {
			return err
		}
	}
	if !flush {
		return nil
	}
	return http.NewResponseController(x.w).Flush()
}

// stall keeps a deadline ahead of a transfer that makes progress, so that one
// that makes none ends.
type stall struct {
	timeout time.Duration // 0: none
	set     time.Time
}

func (s *stall) extend(set func(time.Time) error) {
	if s.timeout <= 0 {
		return
	}
	if now := time.Now(); now.Sub(s.set) > s.timeout/4 {
		s.set = now
		_ = set(now.Add(s.timeout))
	}
}

func announceTrailers(h http.Header, resp *http.Response) {
	for name := range resp.Trailer {
		if inTrailer(name) {
			h.Add("Trailer", name)
		}
	}
}

func (x *exchange) passTrailers(h http.Header, resp *http.Response) {
	if len(resp.Trailer) > 0 {
		// Only what is sent in chunks can have trailers that were not announced.
		_ = http.NewResponseController(x.w).Flush()
	}
	for name, values := range resp.Trailer {
		if !inTrailer(name) {
			continue
		}
		if !named(h["Trailer"], name) {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}
