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
	"github.com/droverhq/drover/internal/gateway/pool"
)

// talk sends the request by l and passes on the answer. When it returns, nobody
// uses l any more.
func (x *exchange) talk(l link) (o outcome) {
	o.reused = l.idled()
	err := l.send(x)
	if err != nil && !l.sent() {
		o.err, o.turnedAway = err, true
		return o
	}
	// After a broken write there may still be an answer to read, an early refusal.
	var up *upload
	if x.streams() {
		up = x.startUpload(l)
	}
	if err = x.readHead(l, up, &o); err == nil {
		err = x.passOn(l, up, &o)
	}
	if up != nil {
		up.stop(err == nil)
		x.again.whole = !up.begun
		x.received += up.total
		err = up.settle(&o, err)
	}
	o.sent, o.err = l.sent(), err
	o.turnedAway = err != nil && !o.sent
	return o
}

// readHead reads the answer's head. Interim answers are passed on.
func (x *exchange) readHead(l link, up *upload, o *outcome) (err error) {
	for {
		if x.resp, err = l.head(); err != nil {
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
			if err := x.client.interim(x.resp); err != nil {
				o.clientGone = true
				return fmt.Errorf("write to the client: %w", err)
			}
		}
	}
}

// passOn passes the answer on to the client.
func (x *exchange) passOn(l link, up *upload, o *outcome) error {
	o.status = x.resp.Status
	x.answered()
	x.giveCookie()
	if o.status == http.StatusSwitchingProtocols {
		return x.upgrade(x.one.conn, o)
	}
	o.forwarded = true
	x.calls = messages{}
	o.grpc = isGRPC(x.resp.Fields)
	o.stream = o.grpc || isEventStream(x.resp.Fields)
	x.client.begin(x.resp)
	err := x.copyBody(l, o)
	o.orderly = o.stream && x.calls.boundary()
	if err == nil && o.grpc && o.status == http.StatusOK {
		o.status = callStatus(x.resp.Fields, l.trailers())
	}
	if err == nil {
		o.keep = l.again() && (up == nil || up.taken() && up.complete())
	}
	return err
}

func isEventStream(fields []h1.Field) bool {
	for i := range fields {
		if f := &fields[i]; f.Kind == h1.ContentType {
			return bytes.HasPrefix(f.Value, []byte("text/event-stream"))
		}
	}
	return false
}

// copyBody passes the body on as it comes, to its end. A message of gRPC's that a
// drain's end has come into has a moment more to become whole.
func (x *exchange) copyBody(l link, o *outcome) error {
	var over error // why the message that is coming is the last one
	for {
		p, err := l.piece()
		switch {
		case len(p) > 0:
			if o.grpc {
				x.calls.follow(p)
			}
			err = x.deliver(p, l, o)
		case errors.Is(err, io.EOF):
			return x.passed(x.client.finish(l.trailers()), o)
		case err == nil:
			err = x.await(l, o)
		}
		switch {
		case err == nil && (over == nil || !x.calls.boundary()):
		case err == nil:
			return over
		case o.clientGone:
			return err
		case over == nil && x.mayFinish(o):
			over = err
			x.two.resume(frameGrace)
		default:
			return fmt.Errorf("read the answer's body: %w", err)
		}
	}
}

// mayFinish says whether a drain's end has come into a message.
func (x *exchange) mayFinish(o *outcome) bool {
	return o.grpc && x.config.H2C && !x.calls.boundary() &&
		(errors.Is(x.ended(), errCut) || x.ended() == nil && x.route.Pool.WasCut(&x.claim) == pool.CutDrain)
}

// await waits for more of the answer, without a buffer. The client gets what there
// is meanwhile.
func (x *exchange) await(l link, o *outcome) error {
	if err := x.passed(x.client.write(nil, false), o); err != nil {
		return err
	}
	return l.await()
}

// spliceAfter is how many bytes must have come at once for it to be likely that
// many more are waiting.
const spliceAfter = 16 << 10

// deliver passes on a piece of the answer's body, and what waits behind it where
// that is much.
func (x *exchange) deliver(p []byte, l link, o *outcome) error {
	x.sent += int64(len(p))
	if err := x.passed(x.client.write(p, true), o); err != nil || len(p) < spliceAfter {
		return err
	}
	for {
		n, read, write := l.splice(x.client)
		x.sent += n
		if err := cmp.Or(read, x.passed(write, o)); err != nil || n == 0 {
			return err
		}
	}
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
