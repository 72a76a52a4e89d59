package upstream

import (
	"net"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/gateway/socket"
)

// bufferSize is what is read of an answer at once.
const bufferSize = 32 << 10

// buffers are lent to connections on which an answer is coming.
var buffers = socket.NewPool(bufferSize)

// Conn is a connection to a backend. One goroutine may write while another reads.
type Conn struct {
	socket.Conn
	// Reused says that a request was answered on it before.
	Reused bool

	backend   *Backend
	idleSince time.Time
	written   int64 // what the kernel took of this request
	closing   sync.Once
}

func newConn(b *Backend, tcp *net.TCPConn) (*Conn, error) {
	c := &Conn{backend: b}
	if err := c.Init(tcp, buffers); err != nil {
		_ = tcp.Close()
		return nil, err
	}
	return c, nil
}

// Write sends bytes of a request.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written += int64(n)
	return n, err
}

// Sent says whether any byte of the request may have reached the process.
func (c *Conn) Sent() bool { return c.written > 0 }

// again makes an idle connection ready for another request.
func (c *Conn) again() { c.Reused, c.written = true, 0 }

// Interrupt makes reads and writes in progress, and all later ones, fail at
// once. It may be called from any goroutine, also after Close.
func (c *Conn) Interrupt() { _ = c.TCP.SetDeadline(time.Unix(1, 0)) }

// Keep gives the connection back for another request.
func (c *Conn) Keep() {
	c.Release()
	c.backend.keep(c)
}

// Close closes the connection. Nobody may be reading it any more.
func (c *Conn) Close() {
	c.closing.Do(func() {
		_ = c.TCP.Close()
		c.Drop()
	})
}

// open says whether the connection is silent: neither closed by the other end
// nor with bytes that nobody asked for.
func (c *Conn) open() bool { return len(c.Buffered()) == 0 && c.Peek() == socket.Silent }
