package proxy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/upstream"
)

// answerLimits bound the head of an answer and its trailers.
var answerLimits = h1.Limits{Bytes: 1 << 20, Fields: 2000}

// talk sends the request on c and passes on the answer. When it returns, nobody
// uses c any more.
func (x *exchange) talk(c *upstream.Conn) (o outcome) {
	o.reused = c.Reused
	err := x.send(c)
	if err != nil && !c.Sent() {
		o.err = err
		return o
	}
	// After a broken write there may still be an answer to read, an early refusal.
	var up *upload
	if x.streams() {
		up = x.startUpload(c)
	}
	if err = x.readHead(c, up, &o); err == nil {
		err = x.passOn(c, up, &o)
	}
	if up != nil {
		up.stop(err == nil)
		x.again.whole = !up.begun
		x.received += up.total
		err = up.settle(&o, err)
	}
	o.sent, o.err = c.Sent(), err
	return o
}

// send sends the head, with the body where that is kept.
func (x *exchange) send(c *upstream.Conn) error {
	x.out = appendRequest(x.out[:0], x.req, x.from)
	apart := len(x.kept) > joined
	if !apart {
		x.out = append(x.out, x.kept...)
	}
	_, err := c.Write(x.out)
	if err == nil && apart {
		_, err = c.Write(x.kept)
	}
	return err
}

// readHead reads the answer's head. Interim answers are passed on.
func (x *exchange) readHead(c *upstream.Conn, up *upload, o *outcome) error {
	for {
		if err := x.parseHead(c); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		switch status := x.resp.Status; {
		case status == http.StatusContinue:
			if up != nil {
				up.proceed()
			}
		case status == http.StatusSwitchingProtocols || status >= 200:
			return nil
		case x.req.Minor > 0:
			o.forwarded = true
			if err := x.client.interim(&x.resp); err != nil {
				o.clientGone = true
				return fmt.Errorf("write to the client: %w", err)
			}
		}
	}
}

func (x *exchange) parseHead(c *upstream.Conn) error {
	toHEAD := string(x.req.Method) == http.MethodHead
	x.resp.Reset()
	for {
		if len(c.Buffered()) > 0 {
			n, err := x.resp.Parse(c.Buffered(), &answerLimits, toHEAD)
			if n > 0 || err != nil {
				c.Skip(n)
				return err
			}
		}
		if err := c.Fill(); err != nil {
			return unexpected(err)
		}
	}
}

// passOn passes the answer on to the client.
func (x *exchange) passOn(c *upstream.Conn, up *upload, o *outcome) error {
	o.status = x.resp.Status
	x.answered()
	x.giveCookie()
	if o.status == http.StatusSwitchingProtocols {
		return x.upgrade(c, o)
	}
	closes, length := x.resp.Close, x.resp.Length
	o.forwarded = true
	o.stream = isEventStream(x.resp.Fields)
	o.orderly = o.stream
	x.client.begin(&x.resp)
	if err := x.copyBody(c, length, o); err != nil {
		return err
	}
	o.keep = !closes && (up == nil || up.taken() && up.complete()) && len(c.Buffered()) == 0
	return nil
}

func isEventStream(fields []h1.Field) bool {
	for i := range fields {
		if f := &fields[i]; f.Kind == h1.ContentType {
			return bytes.HasPrefix(f.Value, []byte("text/event-stream"))
		}
	}
	return false
}

// copyBody passes the body on as it comes, to its end.
func (x *exchange) copyBody(c *upstream.Conn, length int64, o *outcome) (err error) {
	var trailers []h1.Field
	switch length {
	case h1.LengthChunked:
		trailers, err = x.copyChunks(c, o)
	case h1.LengthUntilClose:
		if err = x.copyBytes(c, 1<<63-1, o); errors.Is(err, io.EOF) {
			err = nil
		}
	default:
		err = unexpected(x.copyBytes(c, length, o))
	}
	if err != nil {
		if !o.clientGone {
			err = fmt.Errorf("read the answer's body: %w", err)
		}
		return err
	}
	return x.passed(x.client.finish(trailers), o)
}

// spliceAfter is how many bytes must have come at once for it to be likely that
// many more are waiting.
const spliceAfter = 16 << 10

func (x *exchange) copyBytes(c *upstream.Conn, left int64, o *outcome) error {
	for left > 0 {
		p := c.Buffered()
		if int64(len(p)) > left {
			p = p[:left]
		}
		if len(p) == 0 {
			if err := x.await(c, o); err != nil {
				return err
			}
			continue
		}
		left -= int64(len(p))
		if err := x.deliver(p, left == 0, o); err != nil {
			return err
		}
		c.Skip(len(p))
		if len(p) >= spliceAfter {
			moved, err := x.splice(c, left, o)
			if err != nil {
				return err
			}
			left -= moved
		}
	}
	return nil
}

// splice passes on what waits, for as long as there is much of it.
func (x *exchange) splice(c *upstream.Conn, left int64, o *outcome) (all int64, err error) {
	for {
		n, read, write := x.client.splice(&c.Conn, left-all)
		all += n
		x.sent += n
		if err := cmp.Or(read, x.passed(write, o)); err != nil || n == 0 {
			return all, err
		}
	}
}

func (x *exchange) copyChunks(c *upstream.Conn, o *outcome) ([]h1.Field, error) {
	x.chunks.Reset(answerLimits)
	for {
		p, n, err := x.chunks.Next(c.Buffered())
		switch {
		case err != nil:
			return nil, err
		case len(p) > 0:
			err = x.deliver(p, true, o)
		case x.chunks.Done():
			c.Skip(n)
			return x.chunks.Trailers, nil
		}
		c.Skip(n)
		if err == nil && len(p) == 0 {
			err = x.await(c, o)
		}
		if err != nil {
			return nil, unexpected(err)
		}
	}
}

// await waits for more of the answer, without a buffer. The client gets what there
// is meanwhile.
func (x *exchange) await(c *upstream.Conn, o *outcome) error {
	if err := x.passed(x.client.write(nil, false), o); err != nil {
		return err
	}
	c.Release()
	return c.Fill()
}

// deliver passes on a piece of the answer's body.
func (x *exchange) deliver(p []byte, more bool, o *outcome) error {
	x.sent += int64(len(p))
	return x.passed(x.client.write(p, more), o)
}

// passed notes that the client took no more.
func (x *exchange) passed(err error, o *outcome) error {
	if err == nil {
		return nil
	}
	o.clientGone = true
	return fmt.Errorf("write to the client: %w", err)
}

// stall keeps a deadline ahead of a transfer that makes progress, so that one
// that makes none ends.
type stall struct{ set time.Time }

func (s *stall) extend(timeout time.Duration, set func(time.Time) error) {
	if timeout <= 0 {
		return
	}
	if now := time.Now(); now.Sub(s.set) > timeout/4 {
		s.set = now
		_ = set(now.Add(timeout))
	}
}
