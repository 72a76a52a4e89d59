package socket

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Conn is a TCP connection with what has been read from it and not been used yet.
type Conn struct {
	TCP *net.TCPConn

	raw  syscall.RawConn
	pool *Pool
	// readOnce and sendOnce, bound once:
	tryRead, trySend func(fd uintptr) bool

	parked bool // once, in a Lot

	buf  *buffer // nil: nothing has come
	r, w int     // what is buffered is between them
	err  error   // of readOnce

	// What Peek uses:
	tryPeek func(fd uintptr)
	state   State
	peeked  [1]byte

	sending []byte
	sent    int
	sendErr error
}

// Init makes c read tcp, which is its own from now on, into buffers from pool.
func (c *Conn) Init(tcp *net.TCPConn, pool *Pool) error {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	*c = Conn{TCP: tcp, raw: raw, pool: pool}
	c.tryRead, c.trySend = c.readOnce, c.sendOnce
	return nil
}

// Buffered is what has been read and not been used. It holds until the next call
// of another method than Peek.
func (c *Conn) Buffered() []byte {
	if c.buf == nil {
		return nil
	}
	return c.buf.bytes[c.r:c.w]
}

// Skip says that n of the buffered bytes have been used. They stay where they are
// until the next Fill, Unread or Release.
func (c *Conn) Skip(n int) { c.r += n }

// Fill waits for more bytes and puts them behind those that are buffered.
func (c *Conn) Fill() error {
	if c.buf != nil {
		c.makeRoom(1)
	}
	if err := c.raw.Read(c.tryRead); err != nil {
		return err
	}
	return c.err
}

// readOnce reads what is there; false: nothing is.
func (c *Conn) readOnce(fd uintptr) bool {
	lent := c.buf == nil
	if lent {
		c.buf, c.r, c.w = c.pool.get(), 0, 0
	}
	n, err := again(recv, fd, c.buf.bytes[c.w:])
	if n > 0 {
		c.w += n
		c.err = nil
		return true
	}
	if lent {
		c.pool.put(c.buf)
		c.buf, c.r, c.w = nil, 0, 0
	}
	switch err {
	case unix.EAGAIN:
		return false
	case nil:
		c.err = io.EOF
	default:
		c.err = os.NewSyscallError("read", err)
	}
	return true
}

// again repeats a call that a signal broke off.
func again(call func(uintptr, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		if n, err := call(fd, p); err != unix.EINTR {
			return n, err
		}
	}
}

// Write sends all of p. One goroutine may be in it at a time.
func (c *Conn) Write(p []byte) (int, error) {
	c.sending, c.sent, c.sendErr = p, 0, nil
	err := c.raw.Write(c.trySend)
	c.sending = nil
	if err == nil {
		err = c.sendErr
	}
	return c.sent, err
}

// sendOnce sends what can be sent now; false: some is left.
func (c *Conn) sendOnce(fd uintptr) bool {
	for c.sent < len(c.sending) {
		n, err := again(send, fd, c.sending[c.sent:])
		if err == unix.EAGAIN {
			return false
		}
		if err != nil {
			c.sendErr = os.NewSyscallError("write", err)
			return true
		}
		c.sent += n
	}
	return true
}

// Read takes what is buffered first. What comes then goes straight to p.
func (c *Conn) Read(p []byte) (int, error) {
	if have := c.Buffered(); len(have) > 0 {
		n := copy(p, have)
		c.r += n
		return n, nil
	}
	return c.TCP.Read(p)
}

// directRead is how much room makes a read into a buffer of c's own not worth while.
const directRead = 4 << 10

// Next is Read for who may wait long: while nothing comes, c holds no buffer.
func (c *Conn) Next(p []byte) (int, error) {
	if len(c.Buffered()) == 0 {
		c.Release()
		if len(p) >= directRead {
			return c.TCP.Read(p)
		}
		if err := c.Fill(); err != nil {
			return 0, err
		}
	}
	return c.Read(p)
}

// Unread puts bytes, which are none of the buffer's, before all that will be read.
// Nothing is buffered.
func (c *Conn) Unread(p []byte) {
	if len(p) == 0 {
		return
	}
	if c.buf == nil {
		c.buf = c.pool.get()
	}
	c.r, c.w = 0, 0
	c.makeRoom(len(p))
	c.w = copy(c.buf.bytes, p)
}

// makeRoom sees to n free bytes behind what is buffered.
func (c *Conn) makeRoom(n int) {
	size := len(c.buf.bytes)
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if size-c.w >= n {
		return
	}
	to := c.buf.bytes
	if need := c.w - c.r + n; need > size/2 { // or bytes would be moved again and again
		to = make([]byte, max(2*size, need))
	}
	c.w = copy(to, c.buf.bytes[c.r:c.w])
	c.r, c.buf.bytes = 0, to
}

// Release gives the buffer back when nothing is in it. What is still in it is
// moved to its beginning.
func (c *Conn) Release() {
	switch {
	case c.buf == nil:
	case c.r == c.w:
		c.pool.put(c.buf)
		c.buf, c.r, c.w = nil, 0, 0
	case c.r > 0:
		c.w = copy(c.buf.bytes, c.buf.bytes[c.r:c.w])
		c.r = 0
	}
}

// Drop gives the buffer back with what is in it.
func (c *Conn) Drop() {
	c.r = c.w
	c.Release()
}

func (c *Conn) descriptor() (fd int, err error) {
	err = c.raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}
