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

	raw syscall.RawConn
	// readOnce and sendOnce, bound once:
	tryRead, trySend func(fd uintptr) bool

	parked bool // once, in a Lot

	store         // what has been read
	from  *store  // what readOnce reads to: of TLS, before it is decrypted
	err   error   // of readOnce
	tls   *secure // nil: there is none

	// What Peek uses:
	tryPeek func(fd uintptr)
	state   State
	peeked  [alertSize + 1]byte

	source *Source // nil: nothing was spliced from here yet

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
	*c = Conn{TCP: tcp, raw: raw, store: store{pool: pool}}
	c.from = &c.store
	c.tryRead, c.trySend = c.readOnce, c.sendOnce
	return nil
}

// Buffered is what has been read and not been used. It holds until the next call
// of another method than Peek.
func (c *Conn) Buffered() []byte { return c.bytes() }

// Skip says that n of the buffered bytes have been used. They stay where they are
// until the next Fill, Unread or Release.
func (c *Conn) Skip(n int) { c.r += n }

// Fill waits for more bytes and puts them behind those that are buffered.
func (c *Conn) Fill() error {
	if c.tls != nil {
		return c.tls.fill()
	}
	if c.buf != nil {
		c.makeRoom(1)
	}
	return c.receive()
}

// receive waits for what comes on the socket.
func (c *Conn) receive() error {
	if err := c.raw.Read(c.tryRead); err != nil {
		return err
	}
	return c.err
}

// readOnce reads what is there; false: nothing is.
func (c *Conn) readOnce(fd uintptr) bool {
	to := c.from
	lent := to.buf == nil
	if lent {
		to.lend()
	}
	n, err := again(recv, fd, to.free())
	if n > 0 {
		to.w += n
		c.err = nil
		return true
	}
	if lent {
		to.giveBack()
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
	if c.tls != nil {
		return c.tls.conn.Write(p)
	}
	return c.send(p)
}

func (c *Conn) send(p []byte) (int, error) {
	c.sending, c.sent, c.sendErr = p, 0, nil
	err := c.raw.Write(c.trySend)
	c.sending = nil
	if err == nil {
		err = c.sendErr
	}
	return c.sent, err
}

// WriteAll sends all the pieces as one.
func (c *Conn) WriteAll(pieces *net.Buffers) error {
	if c.tls != nil {
		return c.tls.writeAll(*pieces)
	}
	_, err := pieces.WriteTo(c.TCP)
	return err
}

// Interject sends p, all of it, also while another goroutine writes.
func (c *Conn) Interject(p []byte) error {
	var to io.Writer = c.TCP
	if c.tls != nil {
		to = c.tls.conn
	}
	_, err := to.Write(p)
	return err
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
	if have := c.bytes(); len(have) > 0 {
		n := copy(p, have)
		c.r += n
		return n, nil
	}
	if c.tls != nil {
		return c.tls.read(p)
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
		c.lend()
	}
	c.r, c.w = 0, 0
	c.makeRoom(len(p))
	c.w = copy(c.buf.bytes, p)
}

// Release gives the buffer back when nothing is in it. What is still in it is
// moved to its beginning.
func (c *Conn) Release() { c.release() }

// Drop gives the buffer back with what is in it.
func (c *Conn) Drop() {
	c.r = c.w
	c.Release()
	if c.tls != nil {
		c.tls.drop()
	}
}

// CloseWrite says that nothing will follow what was written.
func (c *Conn) CloseWrite() error {
	if c.tls != nil {
		c.tls.notify()
	}
	return c.TCP.CloseWrite()
}

// Close says, where that can be said, that nothing will follow, and closes the connection.
func (c *Conn) Close() error {
	if c.tls != nil {
		c.tls.notify()
		c.swallow()
	}
	return c.TCP.Close()
}

// Abort has Close break the connection off, so that what was sent cannot be taken for whole.
func (c *Conn) Abort() {
	if c.tls != nil {
		c.tls.broken.Store(true)
	}
	_ = c.TCP.SetLinger(0)
}

// swallow reads the goodbye that may have come: unread, it would have the connection reset.
func (c *Conn) swallow() {
	_ = c.raw.Control(func(fd uintptr) { _, _ = again(recv, fd, c.peeked[:]) })
}

func (c *Conn) descriptor() (fd int, err error) {
	err = c.raw.Control(func(n uintptr) { fd = int(n) })
	return fd, err
}
