package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

const (
	// spliceFrom is how many bytes must be waiting to be worth a splice.
	spliceFrom = 64 << 10
	// spliceMost bounds a splice, as nothing is known of it before it is done: who
	// takes less than this within idleTimeout is taken for silent.
	spliceMost = 256 << 10
)

// Source is a connection from which bytes are moved to another one within the
// kernel, which takes three fifths of the CPU time that copying does.
type Source struct {
	raw     syscall.RawConn
	limited io.LimitedReader

	look    func(fd uintptr) // finds waiting; made once
	waiting int
}

// NewSource makes one of a connection and its raw side.
func NewSource(tcp *net.TCPConn, raw syscall.RawConn) *Source {
	s := &Source{raw: raw, limited: io.LimitedReader{R: tcp}}
	s.look = func(fd uintptr) { s.waiting = bytesWaiting(fd) }
	return s
}

// Splice moves bytes that wait already, at most limit, to dst, where there are enough
// to be worth it. No pipe is held for what comes later. n is how many were moved;
// of the errors at most one is not nil.
func (s *Source) Splice(dst *net.TCPConn, limit int64) (n int64, read, write error) {
	s.waiting = 0
	if err := s.raw.Control(s.look); err != nil {
		return 0, err, nil // it is closed
	}
	most := min(int64(s.waiting), limit, spliceMost)
	if most < spliceFrom {
		return 0, nil, nil
	}
	s.limited.N = most
	n, err := dst.ReadFrom(&s.limited)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		_, err = dst.Write(nil) // fails when it was its deadline; the source's shows with the next read
	case err != nil && !s.connected():
		return n, err, nil
	}
	return n, nil, err
}

func (s *Source) connected() (yes bool) {
	_ = s.raw.Control(func(fd uintptr) { yes = isConnected(fd) }) // an error: it is closed
	return yes
}

// SpliceTo is Splice from c, of which nothing is buffered.
func (c *Conn) SpliceTo(dst *net.TCPConn, limit int64) (n int64, read, write error) {
	if c.source == nil {
		c.source = NewSource(c.TCP, c.raw)
	}
	return c.source.Splice(dst, limit)
}
