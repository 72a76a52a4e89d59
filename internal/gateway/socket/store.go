package socket

// store is a buffer that is lent while there is something in it.
type store struct {
	pool *Pool   // that it is lent from
	buf  *buffer // nil: nothing has come
	r, w int     // what is in it is between them
}

func (s *store) bytes() []byte {
	if s.buf == nil {
		return nil
	}
	return s.buf.bytes[s.r:s.w]
}

// free is the room behind what is in it.
func (s *store) free() []byte { return s.buf.bytes[s.w:] }

func (s *store) lend() { s.buf, s.r, s.w = s.pool.get(), 0, 0 }

func (s *store) giveBack() {
	s.buf.home.put(s.buf)
	s.buf, s.r, s.w = nil, 0, 0
}

// giveBackEmpty gives the buffer back when nothing is in it.
func (s *store) giveBackEmpty() {
	if s.buf != nil && s.r == s.w {
		s.giveBack()
	}
}

// release gives the buffer back when nothing is in it. What is still in it is
// moved to its beginning.
func (s *store) release() {
	s.giveBackEmpty()
	if s.buf != nil && s.r > 0 {
		s.w = copy(s.buf.bytes, s.buf.bytes[s.r:s.w])
		s.r = 0
	}
}

// makeRoom sees to n free bytes behind what is in it.
func (s *store) makeRoom(n int) {
	size := len(s.buf.bytes)
	if s.r == s.w {
		s.r, s.w = 0, 0
	}
	if size-s.w >= n {
		return
	}
	to := s.buf.bytes
	if need := s.w - s.r + n; need > size/2 { // or bytes would be moved again and again
		to = make([]byte, max(2*size, need))
	}
	s.w = copy(to, s.buf.bytes[s.r:s.w])
	s.r, s.buf.bytes = 0, to
}

// moveTo has what is in it in a buffer of another pool.
func (s *store) moveTo(p *Pool) {
	from := *s
	s.buf = p.get()
	s.r, s.w = 0, copy(s.buf.bytes, from.bytes())
	from.giveBack()
}
