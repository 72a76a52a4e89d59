package upstream

import (
	"bufio"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	bufferSize = 4 << 10
	// headBudget bounds the bytes of an answer's head.
	headBudget = 1 << 20
)

// ErrHeadTooLarge is the error of reading an answer's head beyond its limit.
var ErrHeadTooLarge = errors.New("the backend's header is larger than 1 MiB")

var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferSize) }}
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bufferSize) }}
)

// Conn is a connection to a backend with its buffers. One goroutine may write
// while another reads.
type Conn struct {
	R *bufio.Reader
	W *bufio.Writer
	// Reused says that a request was answered on it before.
	Reused bool

	backend   *Backend
	tcp       net.Conn
	raw       syscall.RawConn
	idleSince time.Time
	written   int64  // what the kernel took of this request
	budget    int64  // what may still be read of a head; negative: no limit
	heads     []byte // what was read so far, as long as heads are read
	closing   sync.Once
}

func newConn(b *Backend, nc net.Conn) *Conn {
	c := &Conn{backend: b, tcp: nc, budget: headBudget}
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	c.R = readers.Get().(*bufio.Reader)
	c.R.Reset((*connReader)(c))
	c.W = writers.Get().(*bufio.Writer)
	c.W.Reset((*connWriter)(c))
	return c
}

// Sent says whether any byte of the request may have reached the process.
func (c *Conn) Sent() bool { return c.written > 0 }

// HeadRead ends the limit on what is read: a body follows.
func (c *Conn) HeadRead() { c.budget = -1 }

// Taken is how much of this answer's heads has been taken from R.
func (c *Conn) Taken() int { return len(c.heads) - c.R.Buffered() }

// Head is what was taken from R since Taken was from, as it came. It is to be
// asked before HeadRead.
func (c *Conn) Head(from int) []byte { return c.heads[from:c.Taken()] }

// again makes an idle connection ready for another request.
func (c *Conn) again() {
	c.Reused, c.written, c.budget, c.heads = true, 0, headBudget, c.heads[:0]
	if cap(c.heads) > 2*bufferSize {
		c.heads = nil // one large head is no reason to keep so much
	}
}

// Net is the connection below the buffers.
func (c *Conn) Net() net.Conn { return c.tcp }

// Interrupt makes reads and writes in progress, and all later ones, fail at
// once. It may be called from any goroutine, also after Close.
func (c *Conn) Interrupt() { _ = c.tcp.SetDeadline(time.Unix(1, 0)) }

// Keep gives the connection back for another request.
func (c *Conn) Keep() { c.backend.Keep(c) }

// Close closes the connection. Its buffers must not be in use any more.
func (c *Conn) Close() {
	c.closing.Do(func() {
		_ = c.tcp.Close()
		c.R.Reset(nil)
		c.W.Reset(nil)
		readers.Put(c.R)
		writers.Put(c.W)
	})
}

// open says whether the connection is silent: neither closed by the other end
// nor with bytes that nobody asked for.
func (c *Conn) open() bool {
	if c.R.Buffered() > 0 {
		return false
	}
	if c.raw == nil {
		return true
	}
	silent := false
	var b [1]byte
	err := c.raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		silent = err == unix.EAGAIN
		return true
	})
	return err == nil && silent
}

type connReader Conn

func (c *connReader) Read(p []byte) (int, error) {
	if c.budget < 0 {
		return c.tcp.Read(p)
	}
	if c.budget == 0 {
		return 0, ErrHeadTooLarge
	}
	if int64(len(p)) > c.budget {
		p = p[:c.budget]
	}
	n, err := c.tcp.Read(p)
	c.budget -= int64(n)
	c.heads = append(c.heads, p[:n]...)
	return n, err
}

type connWriter Conn

func (c *connWriter) Write(p []byte) (int, error) {
	n, err := c.tcp.Write(p)
	c.written += int64(n)
	return n, err
}
