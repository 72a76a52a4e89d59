package proxy

import (
	"errors"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/socket"
)

const (
	// headSize is what is read of a request at once; a head may be larger.
	headSize = 4 << 10
	// maxFields bounds the fields of a head, beside its bytes.
	maxFields = 256
	// unlimitedHeader is what "no limit" of a header's size means: a process's memory has one.
	unlimitedHeader = 16 << 20
)

var (
	heads = socket.NewPool(headSize)
	works = sync.Pool{New: func() any { return new(work) }}
)

// work is what it takes to have a request answered. A connection has one from a
// request's first byte to its answer's last.
type work struct {
	req    h1.Request
	chunks h1.Chunked // of its body
	client http1
	x      exchange
}

// phase is what a connection waits for.
type phase uint8

const (
	forFirst   phase = iota // its first request
	forRequest              // the next one
	forHead                 // the rest of a request's head
	forAnswer
	forStream  // the end of what it has become
	forStreams // anything: it speaks HTTP/2
)

// conn is a client's connection.
type conn struct {
	in    socket.Conn
	front *Front
	peer  netip.Addr
	slow  stall  // of writes
	leave func() // tells the gate
	begun bool   // its first bytes have come

	prev, next *conn // in the front's list

	mu      sync.Mutex
	phase   phase
	since   time.Duration // when the phase began
	look    time.Duration // when to see whether the client is there; while forAnswer
	limit   time.Duration // of the request; 0: none
	expired bool          // its time is over: what comes all the same is the last
	closed  bool          // nothing is to come any more
	parking parking       // while forRequest
	x       *exchange     // while forAnswer or forStream
	many    *http2Conn    // while forStreams
}

// serve answers requests until the connection ends.
func (c *conn) serve() {
	defer func() {
		if p := recover(); p != nil { // one connection is lost, and not all of them
			c.front.logger.Error("A request was not handled", "panic", p, "stack", string(debug.Stack()))
			c.close()
		}
	}()
	if !c.secured() {
		c.close()
		return
	}
	for {
		if c.handOver() {
			return
		}
		if c.ready() {
			if c.first() && c.preface() {
				c.serveHTTP2()
			} else if c.request() {
				continue
			}
		} else {
			switch c.park() {
			case parked:
				return
			case toBeParked:
				continue
			}
		}
		c.close()
		return
	}
}

// first is true once.
func (c *conn) first() bool {
	first := !c.begun
	c.begun = true
	return first
}

func (c *conn) close() {
	_ = c.in.Close()
	c.in.Drop()
	c.front.left(c)
}

// ready waits for the beginning of a request.
func (c *conn) ready() bool { return len(c.in.Buffered()) > 0 || c.in.Fill() == nil }

// request has a request answered, of which the beginning is there. It is false
// when none can follow.
func (c *conn) request() bool {
	w := works.Get().(*work)
	more := c.answer(w)
	w.client.stop()
	w.x.forget()
	w.req.Reset()
	works.Put(w)
	c.in.Release()
	return more
}

// answer reads a request, of which the beginning is there, and has it answered.
func (c *conn) answer(w *work) (more bool) {
	config := c.front.config.Load()
	limits := h1.Limits{Bytes: int(config.Limits.MaxHeaderBytes), Fields: maxFields}
	if limits.Bytes <= 0 {
		limits.Bytes = unlimitedHeader
	}
	w.client.start(c, &w.req)
	n, err := w.req.Parse(c.in.Buffered(), &limits)
	if n == 0 && err == nil {
		n, err = c.restOfHead(&w.req, &limits)
	}
	if err != nil {
		if e, ok := errors.AsType[*h1.Error](err); ok {
			w.client.refuse(e)
			c.front.refused(config, c.peer, e)
			c.linger()
		}
		return false
	}
	c.in.Skip(n)
	w.client.body.start(&c.in, w.req.Length, &w.chunks, limits)
	c.front.handle(c, w, config)
	switch {
	case w.client.mine:
		return false
	case !w.client.taken() || w.client.last && c.in.Peek() == socket.Spoke:
		c.linger()
		return false
	}
	return !w.client.last
}

// inHead notes that the rest of what has begun is waited for: until then the
// connection is nobody else's.
func (c *conn) inHead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == forRequest {
		c.since = c.front.now()
	}
	c.phase = forHead
	c.stay()
}

func (c *conn) restOfHead(r *h1.Request, l *h1.Limits) (n int, err error) {
	c.inHead()
	for n == 0 && err == nil {
		if err = c.in.Fill(); err == nil {
			n, err = r.Parse(c.in.Buffered(), l)
		}
	}
	return n, err
}

// busy notes that a request waits for its answer. It says whether that is to be the last.
func (c *conn) busy(x *exchange) (last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase, c.since, c.x = forAnswer, x.began, x
	c.look, c.limit = x.began+lookAfter, time.Duration(x.config.Limits.RequestTimeout)
	if c.expired && !c.closed {
		_ = c.in.TCP.SetReadDeadline(time.Time{})
	}
	c.stay()
	if c.front.over.Load() {
		x.end(errCut)
	}
	return c.expired
}

// idle notes that the next request is waited for.
func (c *conn) idle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase, c.since, c.x = forRequest, c.front.now(), nil
}

func (c *conn) takenOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase = forStream
}

// progress gives a write all its time: a client that does not read loses its
// connection, whatever it is that is written.
func (c *conn) progress() {
	c.slow.extend(time.Duration(c.front.config.Load().Limits.IdleTimeout), c.in.TCP.SetWriteDeadline)
}

// linger reads, for a moment, what the client still sends: closing with unread
// bytes would reset the connection, and the answer could be lost.
func (c *conn) linger() {
	c.in.Drop()
	_ = c.in.CloseWrite()
	_ = c.in.TCP.SetReadDeadline(time.Now().Add(lingerTime))
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	for total := 0; total < lingerBytes; {
		n, err := c.in.TCP.Read(buf[:])
		if err != nil {
			return
		}
		total += n
	}
}

// expire ends the wait for a client.
func (c *conn) expire() {
	c.expired = true
	_ = c.in.TCP.SetReadDeadline(time.Unix(1, 0))
	if c.parking == parked {
		c.front.lot.Wake(&c.in)
	}
}

// retire has a connection of HTTP/2 end. One of HTTP/1.1 does with its next answer.
func (c *conn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.many != nil {
		c.many.h2.Shutdown()
	}
}

// cut ends the request that waits for its answer; and, for good, all waiting for the client.
func (c *conn) cut(forGood bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.x != nil {
		c.x.end(errCut)
	}
	if c.many != nil {
		c.many.cut()
	}
	if forGood {
		c.closed = true
		c.expire()
		_ = c.in.TCP.SetWriteDeadline(time.Now().Add(closeGrace))
	}
}

func peerOf(tcp *net.TCPConn) netip.Addr {
	return tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
}

func (c *conn) busyNow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.x != nil || c.many != nil && c.many.h2.Streams() > 0
}
