package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/gateway/h2"
)

const (
	// IdleTime is how long an unused connection is kept.
	IdleTime = 30 * time.Second
	// maxIdle bounds the idle connections to one process.
	maxIdle = 512
	// lately is how recent a use must be for a connection to be believed open.
	lately      = 50 * time.Millisecond
	dialTimeout = 5 * time.Second
	// A killed process closes its connections a moment before it is seen as ended.
	deathWait = 100 * time.Millisecond
	deathStep = 2 * time.Millisecond
)

// ErrForbidden is the error of connecting to an address that is Drover's own.
var ErrForbidden = errors.New("the address is one of Drover's own")

// Backend is one process to send requests to.
type Backend struct {
	address string
	pid     int
	dialer  net.Dialer
	dead    atomic.Bool

	shared atomic.Pointer[[]*h2.Conn] // connections of HTTP/2; never changed, only replaced

	mu      sync.Mutex
	idle    []*Conn // the last one was used last
	retired bool
	flight  *flight   // a connection of HTTP/2 is being made; nil: none is
	closed  bool      // no more connections of HTTP/2 are made
	running int       // goroutines of those
	ended   sync.Cond // one of them has
}

// New makes a Backend for the process that listens at address. pid is 0 when it
// is not known. forbidden, which may be nil, refuses resolved addresses.
func New(address string, pid int, forbidden func(address string) bool) *Backend {
	b := &Backend{address: address, pid: pid}
	b.dialer.Timeout, b.ended.L = dialTimeout, &b.mu
	if pid > 0 {
		b.dialer.KeepAlive = -1 // a process on this machine closes its connections when it dies
	}
	if forbidden != nil {
		b.dialer.Control = func(_, resolved string, _ syscall.RawConn) error {
			if forbidden(resolved) {
				return ErrForbidden
			}
			return nil
		}
	}
	return b
}

// Address is host:port.
func (b *Backend) Address() string { return b.address }

// Reusable returns an idle connection that was used within maxAge, or nil. One
// that was not used lately is looked at, with a system call, whether the other end
// has closed it; with check, each one is.
func (b *Backend) Reusable(maxAge time.Duration, check bool) *Conn {
	for {
		c, age := b.pop(maxAge)
		if c == nil {
			return nil
		}
		if !check && age < lately || c.open() {
			c.again()
			return c
		}
		c.Close()
	}
}

// pop takes out the connection that was used last. When that is too long ago, it
// is for all of them; others may still use them.
func (b *Backend) pop(maxAge time.Duration) (c *Conn, age time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.idle)
	if n == 0 {
		return nil, 0
	}
	c = b.idle[n-1]
	if age = time.Since(c.idleSince); age > maxAge {
		return nil, 0
	}
	b.idle[n-1], b.idle = nil, b.idle[:n-1]
	return c, age
}

// Dial makes a new connection.
func (b *Backend) Dial(ctx context.Context) (*Conn, error) {
	nc, err := b.DialTCP(ctx)
	if err != nil {
		return nil, err
	}
	return newConn(b, nc)
}

// DialTCP makes a new connection that is the caller's alone: without buffers, and
// never kept for another request.
func (b *Backend) DialTCP(ctx context.Context) (*net.TCPConn, error) {
	nc, err := b.dialer.DialContext(ctx, "tcp", b.address)
	if err != nil {
		return nil, fmt.Errorf("connect to the backend: %w", err)
	}
	return nc.(*net.TCPConn), nil
}

// Unreachable says whether an error of connecting is the backend's doing. Else it
// is ours: too many open files, no free port; or the name is not known.
func Unreachable(err error) bool {
	ne, isNet := errors.AsType[net.Error](err)
	return isNet && ne.Timeout() || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// keep takes back a connection on which a whole answer was read.
func (b *Backend) keep(c *Conn) {
	c.idleSince = time.Now()
	b.mu.Lock()
	keep := !b.retired && len(b.idle) < maxIdle
	if keep {
		b.idle = append(b.idle, c)
	}
	b.mu.Unlock()
	if !keep {
		c.Close()
	}
}

// Retire says whether unused connections are to be closed at once, now and from now on.
func (b *Backend) Retire(retired bool) {
	b.mu.Lock()
	b.retired = retired
	var gone []*Conn
	if retired {
		gone, b.idle = b.idle, nil
	}
	b.mu.Unlock()
	closeConns(gone)
	if retired {
		for _, c := range b.connections() {
			c.Shutdown() // it ends with its last stream
		}
	}
}

// Sweep closes connections that were not used for IdleTime, or lead nowhere. It is
// to be called about once a second.
func (b *Backend) Sweep(now time.Time) {
	b.mu.Lock()
	n := 0
	for n < len(b.idle) && now.Sub(b.idle[n].idleSince) > IdleTime {
		n++
	}
	gone := slices.Clone(b.idle[:n])
	b.idle = slices.Delete(b.idle, 0, n)
	retired := b.retired
	b.mu.Unlock()
	closeConns(gone)
	b.sweepShared(now, retired)
}

func closeConns(list []*Conn) {
	for _, c := range list {
		c.Close()
	}
}

// Local says whether the process is known by its number, so that Died is cheap.
func (b *Backend) Local() bool { return b.pid > 0 }

// Died says whether a broken connection is explained by the end of the process:
// it has ended, or, when its number is not known, nobody listens any more.
func (b *Backend) Died(ctx context.Context) bool {
	deadline := time.Now().Add(deathWait)
	for step := deathStep; !b.dead.Load(); step *= 2 {
		if b.gone(ctx) {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		select {
		case <-ctx.Done():
			return b.gone(context.WithoutCancel(ctx))
		case <-time.After(step):
		}
	}
	return true
}

func (b *Backend) gone(ctx context.Context) bool {
	if b.pid > 0 {
		if ended(b.pid) {
			b.dead.Store(true) // a process does not come back: the next one is another Backend
		}
		return b.dead.Load()
	}
	ctx, cancel := context.WithTimeout(ctx, deathWait)
	defer cancel()
	nc, err := b.dialer.DialContext(ctx, "tcp", b.address)
	if err == nil {
		nc.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
