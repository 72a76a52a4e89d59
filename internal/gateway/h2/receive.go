package h2

import "golang.org/x/net/http2"

// data takes a piece of a body.
func (c *Conn) data(f *http2.DataFrame) error {
	p, n := f.Data(), int(f.Length)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) > 0 {
		c.idle.earn(1)
	} else if err := c.spendLocked(&c.idle); err != nil {
		return err
	}
	if !c.in.take(n) {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	if c.asks {
		c.reopen(n) // a stream that nobody reads must not hold up the others
	}
	s, err := c.find(f.StreamID)
	switch {
	case err != nil:
		return err
	case s == nil:
		c.giveBack(n)
		if f.StreamEnded() {
			c.rests.drop(f.StreamID)
		}
		return c.late(f.StreamID)
	case s.err != nil || s.heard:
		c.giveBack(n)
		return s.late()
	}
	return s.receive(p, n, f.StreamEnded())
}

// late is the error of a frame on a stream on which none may come any more.
func (s *Stream) late() error {
	switch {
	case s.err != nil && s.how == byUs:
		return nil
	case s.err == nil && s.said:
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	}
	return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeStreamClosed}
}

// receive takes a piece of the body, of n bytes with what it was padded by.
func (s *Stream) receive(p []byte, n int, end bool) error {
	if !s.in.take(n) {
		s.conn.giveBack(n)
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeFlowControl}
	}
	if s.received += int64(len(p)); s.lies(end) {
		s.conn.giveBack(n)
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	}
	if end {
		s.half(&s.heard)
	}
	if s.deaf {
		s.conn.giveBack(n)
		return nil
	}
	s.body.write(p)
	s.giveBack(n - len(p))
	s.wake.Broadcast()
	return nil
}

// lies says whether the body is not as long as was said.
func (s *Stream) lies(end bool) bool {
	return s.declared >= 0 && (s.received > s.declared || end && s.received != s.declared)
}

// rst takes the peer's word that it has broken a stream off.
func (c *Conn) rst(f *http2.RSTStreamFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.find(f.StreamID)
	switch {
	case err != nil:
		return err
	case s == nil || s.err != nil:
		c.rests.drop(f.StreamID)
		return c.spendLocked(&c.idle)
	}
	s.how = byPeer
	return c.role.reset(s, f.ErrCode)
}

// fail breaks a stream off for what the peer did, or for us.
func (c *Conn) fail(id uint32, code http2.ErrCode) {
	if s := c.streams[id]; s != nil {
		s.how = byUs
		s.breakOff(errReset)
	} else {
		c.gone.set(id, byUs)
	}
	if c.ended == nil {
		c.own(c.out.framer.WriteRSTStream(id, code))
	}
}
