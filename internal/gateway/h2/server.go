package h2

import (
	"golang.org/x/net/http2"

	"github.com/droverhq/drover/internal/gateway/h1"
)

// Options are of a connection in the server's role.
type Options struct {
	// MaxHeader is how many bytes a request's fields may have, and its trailers.
	MaxHeader int
	// Handle gets each request. It must not wait, and has the stream released once.
	Handle func(*Stream)
}

// server is the role of who is asked.
type server struct {
	*Conn
	handle func(*Stream)
	// early are requests whose bodies may have come in the same breath as they
	// have: who handles them finds it there, and need not wait.
	early []*Stream
}

// NewServer makes a connection of which the client's preface has been read.
func NewServer(t Transport, o Options) *Conn {
	c := newConn(t, o.MaxHeader)
	c.role = &server{Conn: c, handle: o.Handle}
	c.greet()
	return c
}

func (r *server) settings() []http2.Setting {
	return []http2.Setting{
		{ID: http2.SettingMaxConcurrentStreams, Val: MaxStreams},
		{ID: http2.SettingMaxHeaderListSize, Val: uint32(r.decoder.limit)},
	}
}

func (r *server) goAway(*http2.GoAwayFrame) error { return nil }

// begin opens a stream with a request.
func (r *server) begin(b *block, p []byte) error {
	c := r.Conn
	s := newStream(c, b.id)
	admitted, err := false, c.decoder.decode(p, &s.head)
	if err == nil {
		admitted, err = r.admit(s, b)
	}
	switch {
	case !admitted:
		s.recycle()
	case b.end:
		r.handle(s)
	default:
		r.early = append(r.early, s)
	}
	return err
}

// admit takes a stream into the table, if it is one to be handled.
func (r *server) admit(s *Stream, b *block) (bool, error) {
	c := r.Conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.id%2 == 0 {
		return false, http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if b.id <= c.last {
		return false, c.reopened(b.id)
	}
	if c.leaving == settled {
		c.fail(b.id, http2.ErrCodeRefusedStream)
		return false, nil
	}
	c.last = b.id
	c.idle.earn(worth)
	switch {
	case c.open >= MaxStreams || len(c.streams) >= 2*MaxStreams:
		return false, http2.StreamError{StreamID: b.id, Code: http2.ErrCodeRefusedStream}
	case b.itself || !s.understand(b.end):
		return false, http2.StreamError{StreamID: b.id, Code: http2.ErrCodeProtocol}
	}
	s.send, s.opened = outflow(c.remote.window), c.now()
	c.streams[b.id] = s
	c.open++
	if b.end {
		s.half(&s.heard)
	}
	return true, nil
}

// reopened is the error of fields on a stream that was closed, or passed over.
func (c *Conn) reopened(id uint32) error {
	if c.gone.how(id) == unknown {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return c.late(id)
}

func (r *server) shutdown() { r.announce() }

func (r *server) taken() uint32 { return r.last }

func (r *server) reset(s *Stream, _ http2.ErrCode) (err error) {
	if !s.said && r.now().Sub(s.opened) < atOnce {
		err = r.spendLocked(&r.resets)
	}
	s.breakOff(errPeerReset)
	return err
}

func (r *server) more(s *Stream, b *block) error { return r.trailers(s, b) }

// trailers takes those of a stream, which were decoded.
func (c *Conn) trailers(s *Stream, b *block) error {
	tail := &c.decoded
	if b.itself || !b.end || tail.large || s.lies(true) || !tail.trailers() {
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	}
	s.tail, *tail = *tail, s.tail
	s.half(&s.heard)
	s.wake.Broadcast()
	return nil
}

// pause has all begun that waits for more.
func (r *server) pause() {
	for i, s := range r.early {
		r.early[i] = nil
		r.handle(s)
	}
	r.early = r.early[:0]
}

// trailers checks fields that came behind a body, and keeps those that may come
// there. False: they are malformed.
func (s *section) trailers() bool {
	kept := s.fields[:0]
	for i := range s.fields {
		f := &s.fields[i]
		if !wellFormed(f) {
			return false
		}
		if h1.InTrailer(f.Name) {
			kept = append(kept, *f)
		}
	}
	s.fields = kept
	return true
}
