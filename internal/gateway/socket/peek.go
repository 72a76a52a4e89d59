package socket

import "golang.org/x/sys/unix"

// State is what the other end has done that was not read yet.
type State int

const (
	Silent State = iota // nothing
	Spoke               // it sent something
	Gone                // it has closed its end, or the connection is broken
)

// Peek looks what there is to read, without reading it. It may be called by any
// goroutine, also after the connection was closed.
func (c *Conn) Peek() State {
	state := Gone
	_ = c.raw.Control(func(fd uintptr) { state = peek(int(fd)) }) // an error: it is closed
	return state
}

func peek(fd int) State {
	var b [1]byte
	switch n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT); {
	case err == unix.EAGAIN || err == unix.EINTR:
		return Silent
	case err == nil && n > 0:
		return Spoke
	}
	return Gone
}
