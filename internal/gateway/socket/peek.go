package socket

import "golang.org/x/sys/unix"

// State is what the other end has done that was not read yet.
type State int

const (
	Silent State = iota // nothing
	Spoke               // it sent something
	Gone                // it has closed its end, or the connection is broken
)

// alertSize is how long the record is with which TLS says goodbye: of version 1.3,
// and at most as long before.
const alertSize = recordHeader + 2 + 1 + 16 + 8

// Peek looks what there is to read, without reading it. It may be called while
// others read, and after the connection was closed, by one goroutine at a time. Of
// TLS it sees what has come, not what it says: a goodbye is told from a request by
// its being shorter than any, and the last thing that came before the end.
func (c *Conn) Peek() State {
	if c.tryPeek == nil {
		c.tryPeek = c.peekOnce
	}
	c.state = Gone
	_ = c.raw.Control(c.tryPeek) // an error: it is closed
	return c.state
}

func (c *Conn) peekOnce(fd uintptr) {
	look := c.peeked[:1]
	if c.tls != nil {
		look = c.peeked[:]
	}
	switch n, err := again(peek, fd, look); {
	case err == unix.EAGAIN:
		c.state = Silent
	case n > 0 && (c.tls == nil || n > alertSize || !ended(fd)):
		c.state = Spoke
	}
}
