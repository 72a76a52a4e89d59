package h2

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/droverhq/drover/internal/gateway/h1"
)

// Why nothing more comes or goes on a stream.
var (
	errPeerReset = errors.New("the peer has reset the stream")
	errReset     = errors.New("the stream was reset")
	errNotWanted = errors.New("the rest is not wanted")
)

// Watcher hears of the end of a stream that it has in use. It is called with the
// connection's lock held, and must not call back.
type Watcher interface{ Gone() }

// Stream is one request and its answer. One goroutine may read it while another
// writes; the last one releases it.
type Stream struct {
	// Request is what a client asks for. In the server's role only.
	Request h1.Request
	// Response is the answer to it. In the role of who asks only: see Answer.
	Response h1.Response
	// Woke says that its connection had been idle before.
	Woke bool
	// Refused is why it is to be answered without having been understood; or nil.
	Refused *h1.Error

	conn   *Conn
	id     uint32
	opened time.Time
	head   section
	tail   section

	// Guarded by the connection's lock:
	wake     sync.Cond // something has changed
	watcher  Watcher
	in       inflow
	send     outflow
	body     body
	declared int64 // the length of the peer's body; -1: not said
	received int64
	heard    bool // the peer has said all
	said     bool // this end has
	deaf     bool // what the peer still says is not wanted
	shut     bool // it does not count as open
	how      how  // it was closed, once err is set
	err      error
	readBy   time.Time // when a Read fails; zero: never
	stalled  time.Time // since when the peer's window has let nothing through; zero: it does

	// In the role of who asks:
	toHEAD      bool
	at          uint64     // how many bytes go before the request
	interim     []*interim // answers that have come and have not been taken
	answered    bool       // the head of the last one has come
	refused     bool       // the peer has done nothing with the request
	interrupted bool       // nothing is read any more
	mute        bool       // nothing is written any more
}

var streams = sync.Pool{New: func() any { return new(Stream) }}

func newStream(c *Conn, id uint32) *Stream {
	s := streams.Get().(*Stream)
	s.conn, s.id = c, id
	s.wake.L = &c.mu
	s.in = newInflow(defaultWindow)
	s.declared = -1
	return s
}

// recycle makes ready for another use. Nobody knows the stream any more.
func (s *Stream) recycle() {
	s.Request.Reset()
	s.Response.Reset()
	s.head.reset()
	s.tail.reset()
	*s = Stream{Request: s.Request, Response: s.Response, head: s.head, tail: s.tail}
	streams.Put(s)
}

// Watch has w told of the stream's end, also when that has come already.
func (s *Stream) Watch(w Watcher) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.watcher = w; s.err != nil {
		w.Gone()
	}
}

// Release ends the use of a stream. What has not been said by then is broken off.
func (s *Stream) Release() {
	s.Abandon()
	s.recycle()
}

// Abandon is Release when others may still use the stream.
func (s *Stream) Abandon() {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.watcher = nil
	switch {
	case s.shut:
	case c.asks:
		c.fail(s.id, http2.ErrCodeCancel)
	case s.said:
		s.how = byUs
		s.close()
		c.refuseRest(s.id)
	default:
		c.fail(s.id, http2.ErrCodeInternal)
	}
	c.giveBack(s.body.clear())
	c.spare += s.in.size - defaultWindow
	delete(c.streams, s.id)
	c.gone.add(s.id, s.how)
	if len(c.streams) == 0 {
		c.waits = c.now()
	}
	c.leaveIfIdle()
	c.flushSoon()
}

// Read takes what has come of the peer's body; io.EOF: nothing will.
func (s *Stream) Read(p []byte) (n int, err error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	for s.quiet() {
		if !s.readBy.IsZero() && !s.conn.now().Before(s.readBy) {
			return 0, os.ErrDeadlineExceeded
		}
		s.wake.Wait()
	}
	return s.take(p)
}

// TryRead is Read for who does not wait: it takes nothing when nothing is there.
func (s *Stream) TryRead(p []byte) (n int, err error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.quiet() {
		return 0, nil
	}
	return s.take(p)
}

// Wait waits until TryRead has something to say.
func (s *Stream) Wait() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	for s.quiet() {
		s.wake.Wait()
	}
}

// quiet says whether there is nothing to be read, and something may come.
func (s *Stream) quiet() bool {
	return s.err == nil && s.body.size == 0 && !s.heard && !s.deaf && !s.interrupted
}

func (s *Stream) take(p []byte) (n int, err error) {
	switch {
	case s.interrupted:
		return 0, errInterrupted
	case s.err != nil && !s.remains():
		return 0, s.err
	case s.deaf:
		return 0, errNotWanted
	}
	n = s.body.read(p)
	s.giveBack(n)
	if s.heard && s.body.size == 0 {
		err = io.EOF
	}
	return n, err
}

// remains says whether something of an answer can be read although its stream was
// broken off: what has come before has come.
func (s *Stream) remains() bool {
	return s.conn.asks && s.how != byUs && (s.heard || s.body.size > 0)
}

// SetReadDeadline sets when reads fail that nothing comes for; the zero time: never.
// It may be late by the time between two calls of [Conn.Check].
func (s *Stream) SetReadDeadline(t time.Time) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.readBy = t
	s.wake.Broadcast()
}

// Buffered is how much of the body can be read at once, and whether it is the rest.
func (s *Stream) Buffered() (n int, rest bool) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.body.size, s.heard && s.err == nil
}

// Taken says whether all of the peer's body has been read.
func (s *Stream) Taken() bool {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	return s.heard && s.body.size == 0
}

// Trailers are the fields that came behind the body that has been read.
func (s *Stream) Trailers() []h1.Field { return s.tail.fields }

// giveBack lets the peer send n bytes that were read.
func (s *Stream) giveBack(n int) {
	c := s.conn
	if !s.heard && s.err == nil {
		var more int
		if s.body.size == 0 {
			more = s.in.grow(n, &c.spare)
		} else {
			more = s.in.give(n)
		}
		if more > 0 {
			c.own(c.out.framer.WriteWindowUpdate(s.id, uint32(more)))
		}
	}
	c.giveBack(n)
}

// giveBack notes that n bytes of bodies are not held any more.
func (c *Conn) giveBack(n int) {
	if !c.asks {
		c.reopen(n)
	}
}

// reopen lets the peer send n bytes more, on whichever stream.
func (c *Conn) reopen(n int) {
	if more := c.in.give(n); more > 0 && c.ended == nil {
		c.own(c.out.framer.WriteWindowUpdate(0, uint32(more)))
	}
}

// CloseRead says that no more of the peer's body is wanted.
func (s *Stream) CloseRead() {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.deaf = true
	s.wake.Broadcast()
}

// Reset breaks the stream off, so that the peer sees that it is not whole.
func (s *Stream) Reset(code http2.ErrCode) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.err == nil && !(s.said && s.heard) {
		c.fail(s.id, code)
	}
}

// breakOff ends the stream. Who has it in use is told.
func (s *Stream) breakOff(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.refused = s.refused || s.conn.asks && s.at >= s.conn.out.handed
	s.close()
	s.wake.Broadcast()
	if s.watcher != nil {
		s.watcher.Gone()
	}
}

// close ends the stream's counting as open.
func (s *Stream) close() {
	if !s.shut {
		s.shut = true
		s.conn.open--
	}
}

// half notes that one of the two has said all.
func (s *Stream) half(which *bool) {
	if *which = true; s.heard && s.said {
		s.close()
	}
}
