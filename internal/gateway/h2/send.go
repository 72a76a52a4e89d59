package h2

import (
	"time"

	"github.com/droverhq/drover/internal/gateway/h1"
)

// worth is how many idle frames a frame of a body makes good: who takes it answers
// with WINDOW_UPDATEs, and with a PING now and then.
const worth = 4

// WriteHead sends a section of fields, pseudo-fields first: a head, an interim
// one, or trailers. It goes with what follows, or with the next Flush.
func (s *Stream) WriteHead(fields []h1.Field, end bool) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.await()
	if err := s.dumb(); err != nil {
		return err
	}
	c.out.encode(fields)
	c.out.headers(s.id, end)
	if end {
		s.finish()
	}
	return nil
}

// WriteData sends a piece of the body, and waits while the peer takes none. It
// goes with what follows, or with the next Flush.
func (s *Stream) WriteData(p []byte, end bool) error {
	if len(p) == 0 && !end {
		return nil
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		n, err := s.reserve(len(p))
		if err != nil {
			return err
		}
		last := end && n == len(p)
		c.out.data(s.id, p[:n], last)
		c.idle.earn(worth)
		if p = p[n:]; len(p) > 0 {
			continue
		}
		if last {
			s.finish()
		}
		return nil
	}
}

// Flush has what waits sent on its way.
func (s *Stream) Flush() error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	if s.err != nil && s.how != byUs {
		return s.err
	}
	return nil
}

// dumb is why nothing can be sent.
func (s *Stream) dumb() error {
	if s.err == nil && s.mute {
		return errInterrupted
	}
	return s.err
}

// reserve waits until the peer takes some of n bytes, and says how many.
func (s *Stream) reserve(n int) (int, error) {
	c := s.conn
	defer func() { s.stalled = time.Time{} }()
	for {
		s.await()
		if err := s.dumb(); err != nil {
			return 0, err
		}
		may := min(n, plainFrame, int(s.send), int(c.send))
		switch {
		case n == 0:
			return 0, nil
		case may > 0:
			s.send -= outflow(may)
			c.send -= outflow(may)
			return may, nil
		case c.out.waiting != nil && !c.out.writing:
			c.flush() // what the peer is to make room for must have left
			continue
		}
		if s.stalled.IsZero() {
			s.stalled = c.now()
		}
		s.wake.Wait()
	}
}

// finish notes that this end has said all.
func (s *Stream) finish() {
	s.conn.resets.earn(1)
	s.half(&s.said)
}
