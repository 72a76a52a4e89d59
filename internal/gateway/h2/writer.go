package h2

import (
	"bytes"
	"io"
	"runtime"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// roomFor is how many bytes of messages wait for the transport; who has more
	// to say waits for room.
	roomFor = 64 << 10
	// maxOwed is how many of the connection's own frames may wait beside them. Beyond
	// it nothing is read: a peer that causes those has to take them.
	maxOwed = 1000
	// fewBytes are worth waiting for others to add to.
	fewBytes = 4 << 10
	// plainFrame is the size of a frame that every peer takes.
	plainFrame = 16 << 10
)

// batches are the buffers in which frames wait.
var batches = sync.Pool{New: func() any { return &batch{bytes: make([]byte, 0, fewBytes)} }}

type batch struct{ bytes []byte }

// writer orders frames and hands them to the transport, many at a time. Its fields
// are guarded by the connection's lock, which is not held while the transport writes.
//
// Whoever appends frames has them written: by itself when nobody is writing, else
// they go with what is written next. So a frame costs no change of goroutines when
// there is little to do, and few system calls when there is much.
type writer struct {
	framer  *http2.Framer // appends to waiting
	waiting *batch        // nil: nothing waits
	owed    int           // frames of the connection's own that wait
	writing bool          // a goroutine is in the transport
	handed  uint64        // how many bytes the transport has been given
	room    sync.Cond     // there may be some, or the connection has ended

	encoder *hpack.Encoder
	block   bytes.Buffer // of the encoder
	lower   []byte
	known   texts
}

func (w *writer) init(c *Conn) {
	w.framer = http2.NewFramer(w, nil)
	w.framer.AllowIllegalWrites = true // what they are is decided here
	w.encoder = hpack.NewEncoder(&w.block)
	w.room.L = &c.mu
}

// Write takes a frame from the framer.
func (w *writer) Write(p []byte) (int, error) {
	b := w.batch()
	b.bytes = append(b.bytes, p...)
	return len(p), nil
}

func (w *writer) batch() *batch {
	if w.waiting == nil {
		w.waiting = batches.Get().(*batch)
	}
	return w.waiting
}

func (w *writer) size() int {
	if w.waiting == nil {
		return 0
	}
	return len(w.waiting.bytes)
}

// data appends a DATA frame. It spares the framer's copy of what is the bulk of all bytes.
func (w *writer) data(id uint32, p []byte, end bool) {
	flags := byte(0)
	if end {
		flags = byte(http2.FlagDataEndStream)
	}
	b, n := w.batch(), len(p)
	b.bytes = append(b.bytes, byte(n>>16), byte(n>>8), byte(n), byte(http2.FrameData), flags,
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
	b.bytes = append(b.bytes, p...)
}

// headers appends the encoded block as a HEADERS frame and what it takes of others.
func (w *writer) headers(id uint32, end bool) {
	p := w.block.Bytes()
	first := p[:min(len(p), plainFrame)]
	p = p[len(first):]
	_ = w.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(p) == 0})
	for len(p) > 0 {
		next := p[:min(len(p), plainFrame)]
		p = p[len(next):]
		_ = w.framer.WriteContinuation(id, len(p) == 0, next)
	}
	w.block.Reset()
}

// flush has what waits written, by the caller unless somebody is at it already.
// The lock is held when it is called and when it returns, but not in between.
func (c *Conn) flush() {
	w := &c.out
	if w.writing || w.waiting == nil || c.broken {
		return
	}
	w.writing = true
	if len(w.waiting.bytes) < fewBytes && len(c.streams) > 1 {
		c.mu.Unlock()
		runtime.Gosched() // others are about to answer: one write for all of them
		c.mu.Lock()
	}
	c.writeBatch()
	if w.waiting != nil && !c.broken {
		go c.flushRest() // the caller has something else to do
		return
	}
	c.written()
}

// flushSoon is flush for who must not wait for the peer.
func (c *Conn) flushSoon() {
	if w := &c.out; !w.writing && w.waiting != nil && !c.broken {
		w.writing = true
		go c.flushRest()
	}
}

// own has a frame of the connection's own written, which was appended.
func (c *Conn) own(error) {
	c.out.owed++
	c.flushSoon()
}

// settle waits until the peer has taken what it caused.
func (c *Conn) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.out.owed > maxOwed && c.ended == nil {
		c.flushSoon()
		c.out.room.Wait()
	}
}

// flushRest is a goroutine that drain waits for.
func (c *Conn) flushRest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.out.waiting != nil && !c.broken {
		c.writeBatch()
	}
	c.written()
}

// written notes that nobody is in the transport any more.
func (c *Conn) written() {
	c.out.writing = false
	c.out.room.Broadcast()
}

// drain waits until all is written that can be.
func (c *Conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.flushSoon(); c.out.writing; {
		c.out.room.Wait()
	}
}

// writeBatch writes what waits. The lock is let go meanwhile.
func (c *Conn) writeBatch() {
	w := &c.out
	b := w.waiting
	w.waiting, w.owed = nil, 0
	w.room.Broadcast()
	size := len(b.bytes)
	w.handed += uint64(size)
	c.mu.Unlock()
	n, err := c.transport.Write(b.bytes)
	b.bytes = b.bytes[:0]
	batches.Put(b)
	c.mu.Lock()
	if err != nil {
		w.handed -= uint64(size - n)
		c.breakOff(err)
	}
}

// await waits until the messages that wait have room for another piece of the stream's.
func (s *Stream) await() {
	c := s.conn
	for c.out.size() >= roomFor && c.ended == nil && !s.mute {
		if !c.out.writing {
			c.flush()
			continue
		}
		c.out.room.Wait()
	}
}

var _ io.Writer = (*writer)(nil)
