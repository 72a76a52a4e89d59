package proxy

import (
	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/upstream"
)

// link is what an exchange reaches a process by, for one attempt, whatever that
// speaks. While the answer is read another goroutine may send the request's body.
type link interface {
	// idled says that the connection had been used before, and was not just now.
	idled() bool
	// send sends the request, with the body where that is kept.
	send(x *exchange) error
	// sent says whether the process may have done something with the request.
	sent() bool

	// sendPiece sends a piece of the body: n bytes of buf, from bodyAt. last: the end follows.
	sendPiece(buf []byte, n int, last bool) error
	// sendEnd ends the body.
	sendEnd(trailers []h1.Field) error
	// stopSending has the sending fail, at once and from now on.
	stopSending()

	// head reads the next head of the answer. It holds until the next one is read.
	head() (*h1.Response, error)
	// piece takes what has come of the answer's body, if anything has; io.EOF: that
	// was all. It holds until the next call of a method.
	piece() ([]byte, error)
	// splice passes on to the client, without copying them, bytes of the body that
	// wait, where that is possible and worth it.
	splice(to client) (moved int64, read, write error)
	// await waits for more of the body, and holds no buffer meanwhile.
	await() error
	// trailers are the fields that came after the body.
	trailers() []h1.Field
	// again says whether the connection could carry another request, if this one was
	// sent whole.
	again() bool

	// interrupt has all of the above fail, at once and from now on. It may be called
	// from any goroutine, as long as leave was not.
	interrupt()
	// leave ends the attempt. keep: the connection is to carry another request.
	leave(keep bool)
}

// connect finds a way to the process: a connection that is there, where that is
// safe, or a new one.
func (x *exchange) connect(b *upstream.Backend) (link, error) {
	repeatable := x.again.idempotent && !x.streams()
	if x.config.H2C {
		return x.open(b, repeatable)
	}
	if !x.fresh {
		maxAge := upstream.IdleTime
		if !repeatable {
			maxAge = freshFor
		}
		if c := b.Reusable(maxAge, !repeatable); c != nil {
			return x.alone(c), nil
		}
	}
	ctx := x.slowly()
	defer x.quickly()
	c, err := b.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return x.alone(c), nil
}

// alone is a connection that the request has for itself.
func (x *exchange) alone(c *upstream.Conn) link {
	x.one.start(c, x.req)
	return x.hold(&x.one)
}

// open opens a stream on a connection that other requests use too. What cannot be
// sent again needs one that has been heard of lately.
func (x *exchange) open(b *upstream.Backend, repeatable bool) (link, error) {
	l := &x.two
	l.prepare(x)
	l.ask.Within = 0
	if x.fresh || !repeatable {
		l.ask.Within = freshFor
	}
	s := b.TryOpen(&l.ask)
	if s == nil {
		ctx := x.slowly()
		defer x.quickly()
		var err error
		if s, err = b.Open(ctx, &l.ask); err != nil {
			return nil, err
		}
	}
	l.start(s)
	return x.hold(l), nil
}
