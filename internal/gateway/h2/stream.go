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
	s.head.reset()
	s.tail.reset()
	*s = Stream{Request: s.Request, head: s.head, tail: s.tail}
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
	case s.said:
		s.how = byUs
		s.close()
		c.refuseRest(s.id)
	default:
		c.fail(s.id, http2.ErrCodeInternal)
	}
	c.giveBack(s.body.clear())
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
	for s.err == nil && s.body.size == 0 && !s.heard && !s.deaf {
		if !s.readBy.IsZero() && !s.conn.now().Before(s.readBy) {
			return 0, os.ErrDeadlineExceeded
		}
		s.wake.Wait()
	}
	switch {
	case s.err != nil:
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
	if !s.heard {
		give := s.in.give
		if s.body.size == 0 {
			give = s.in.grow
		}
		if more := give(n); more > 0 {
			c.own(c.out.framer.WriteWindowUpdate(s.id, uint32(more)))
		}
	}
	c.giveBack(n)
}

func (c *Conn) giveBack(n int) {
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
