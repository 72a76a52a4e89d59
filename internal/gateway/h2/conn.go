package h2

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// errPeerLeft is how a connection ends that the peer has closed.
var errPeerLeft = errors.New("the peer has closed the connection")

// role is what the two ends of a connection do differently.
type role interface {
	// settings are what the peer is told first.
	settings() []http2.Setting
	// begin takes a section on a stream that is not known.
	begin(b *block, p []byte) error
	// pause is called when the reader is about to wait.
	pause()
	// What follows is called with the lock held.

	// more takes another section on a stream, which was decoded.
	more(s *Stream, b *block) error
	// goAway takes the peer's word that it takes no more streams.
	goAway(f *http2.GoAwayFrame) error
	// reset takes the peer's word that it has broken off a stream.
	reset(s *Stream, code http2.ErrCode) error
	// shutdown begins to give the connection up.
	shutdown()
	// taken is the last of the peer's streams that was taken.
	taken() uint32
}

// Conn is one connection. Run reads it to its end; streams are used by other goroutines.
type Conn struct {
	transport Transport
	role      role
	now       func() time.Time

	// The reader's:
	framer  *http2.Framer
	decoder decoder
	decoded section // what was decoded last, until a stream has it
	block   *block  // one whose end has not come; nil: none

	mu        sync.Mutex
	idle      allowance
	resets    allowance
	out       writer
	in        inflow
	send      outflow
	remote    remote
	greeted   bool // the peer's SETTINGS have come
	streams   map[uint32]*Stream
	open      int // streams that are not closed
	last      uint32
	gone      closed
	rests     rests
	leaving   leaving
	leavingAt time.Time
	waits     time.Time // since when nothing is asked for, or a block is not whole
	ended     error     // why nothing comes any more
	broken    bool      // nothing can be written any more
	headTime  bool      // a block is not whole

	spare int // by how much the windows of streams may grow, all in all

	// In the role of who asks:
	asks    bool
	born    time.Time     // never changed
	heardAt atomic.Int64  // when something came last, since then
	pong    chan struct{} // closed when a PING was answered; nil: none is on its way
	asked   time.Time     // when it was sent
}

func newConn(t Transport, limit int) *Conn {
	c := &Conn{transport: t, now: time.Now, spare: maxWindow, streams: map[uint32]*Stream{}, remote: newRemote(), idle: idleFrames(), resets: resets()}
	c.framer = http2.NewFramer(nil, input{c})
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(plainFrame)
	c.decoder.init(limit)
	c.out.init(c)
	c.in = newInflow(connWindow)
	c.send = defaultWindow
	c.waits = c.now()
	c.born = c.waits
	return c
}

// Run reads the connection until its end. Streams that it had are broken off by then,
// but may still be in use; what waited to be written has been.
func (c *Conn) Run() {
	c.mu.Lock()
	c.flushSoon()
	c.mu.Unlock()
	for {
		f, err := c.framer.ReadFrame()
		if err == nil {
			err = c.take(f)
		}
		if err = c.survive(err); err != nil {
			c.end(err)
			c.role.pause() // who begins now sees that it is over
			c.drain()
			return
		}
		c.settle()
	}
}

// greet says what this end takes, before all else.
func (c *Conn) greet() {
	_ = c.out.framer.WriteSettings(c.role.settings()...)
	_ = c.out.framer.WriteWindowUpdate(0, connWindow-defaultWindow)
}

// pause is before the reader waits.
func (c *Conn) pause() { c.role.pause() }

// survive handles what concerns one stream. The connection ends with what it returns.
func (c *Conn) survive(err error) error {
	if s, ok := errors.AsType[http2.StreamError](err); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		if s.StreamID > c.last { // a stream that never was cannot be reset
			return http2.ConnectionError(s.Code)
		}
		c.fail(s.StreamID, s.Code)
		return nil
	}
	if errors.Is(err, http2.ErrFrameTooLarge) {
		return http2.ConnectionError(http2.ErrCodeFrameSize)
	}
	return err
}

// take handles a frame.
func (c *Conn) take(f http2.Frame) error {
	if _, ok := f.(*http2.SettingsFrame); !ok && !c.greeted { // only the reader writes it
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	switch f := f.(type) {
	case *http2.HeadersFrame:
		b := &block{id: f.StreamID, end: f.StreamEnded(), itself: f.HasPriority() && f.Priority.StreamDep == f.StreamID}
		return c.fragment(b, f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.ContinuationFrame:
		return c.fragment(c.block, f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.DataFrame:
		return c.data(f)
	case *http2.RSTStreamFrame:
		return c.rst(f)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if err := c.spend(&c.idle); err != nil {
		return err
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.WindowUpdateFrame:
		return c.windowUpdate(f)
	case *http2.PingFrame:
		return c.ping(f)
	case *http2.GoAwayFrame:
		return c.goAway(f)
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
		}
	}
	return nil
}

// fragment takes a part of a section, and has the whole one handled.
func (c *Conn) fragment(b *block, p []byte, whole bool) error {
	if whole && b.fragments == 0 {
		return c.headers(b, p)
	}
	if err := b.add(p, c.decoder.limit); err != nil {
		return err
	}
	if c.block = b; whole {
		c.block = nil
	}
	c.mu.Lock()
	if c.headTime != !whole {
		c.headTime, c.waits = !whole, c.now()
	}
	c.mu.Unlock()
	if !whole {
		return nil
	}
	return c.headers(b, b.bytes)
}

func (c *Conn) headers(b *block, p []byte) error {
	c.mu.Lock()
	known := c.streams[b.id] != nil
	c.mu.Unlock()
	if !known {
		return c.role.begin(b, p)
	}
	if err := c.decoder.decode(p, &c.decoded); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s := c.streams[b.id]; {
	case s == nil: // it was released meanwhile
		return c.late(b.id)
	case s.err != nil || s.heard:
		return s.late()
	default:
		return c.role.more(s, b)
	}
}

// windowUpdate lets more be sent.
func (c *Conn) windowUpdate(f *http2.WindowUpdateFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID != 0 {
		s, err := c.find(f.StreamID)
		if s == nil {
			return err
		}
		if !s.send.add(int(f.Increment)) {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeFlowControl}
		}
		s.wake.Broadcast()
		return nil
	}
	if !c.send.add(int(f.Increment)) {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	for _, s := range c.streams {
		if !s.stalled.IsZero() {
			s.wake.Broadcast()
		}
	}
	return nil
}

func (c *Conn) ping(f *http2.PingFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !f.IsAck() {
		c.own(c.out.framer.WritePing(true, f.Data))
	} else if f.Data == leavingPing {
		c.leave()
	} else if f.Data == alivePing {
		c.answered()
	}
	return nil
}

// end breaks off all streams, and tells the peer why.
func (c *Conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errPeerLeft
	}
	c.forgetUnsent()
	if code, ok := errors.AsType[http2.ConnectionError](err); ok {
		_ = c.out.framer.WriteGoAway(c.role.taken(), http2.ErrCode(code), nil)
		c.flushSoon()
	}
	c.stop(err)
}

// forgetUnsent sees to it that requests that have not left never will: who made
// them is to hear so, and may send them elsewhere.
func (c *Conn) forgetUnsent() {
	if c.asks && c.ended == nil && c.out.waiting != nil {
		c.out.waiting.bytes = c.out.waiting.bytes[:0]
	}
}

// stop has everything end that waits for the peer.
func (c *Conn) stop(err error) {
	if c.ended != nil {
		return
	}
	c.ended = err
	for _, s := range c.streams {
		s.breakOff(err)
	}
	c.answered()
	c.out.room.Broadcast()
}

// breakOff ends a connection that cannot be written to.
func (c *Conn) breakOff(err error) {
	c.broken = true
	c.out.waiting = nil
	c.stop(err)
	c.transport.Stop()
}
