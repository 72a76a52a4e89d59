package socket

import "golang.org/x/sys/unix"

// State is what the other end has done that was not read yet.
type State int

const (
	Silent State = iota // nothing
	Spoke               // it sent something
	Gone                // it has closed its end, or the connection is broken
)

// Peek looks what there is to read, without reading it. It may be called while
// others read, and after the connection was closed, by one goroutine at a time.
func (c *Conn) Peek() State {
	if c.tryPeek == nil {
		c.tryPeek = c.peekOnce
	}
	c.state = Gone
	_ = c.raw.Control(c.tryPeek) // an error: it is closed
	return c.state
}

func (c *Conn) peekOnce(fd uintptr) {
	switch n, err := again(peek, fd, c.peeked[:]); {
	case err == unix.EAGAIN:
		c.state = Silent
	case n > 0:
		c.state = Spoke
	}
}
