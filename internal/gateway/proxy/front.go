package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/gateway/tally"
	"github.com/droverhq/drover/internal/resource"
)

// Config is what a front needs of the documents. It is never changed.
type Config struct {
	Name         string
	Routes       Routes
	QueueTimeout time.Duration
	DrainTimeout time.Duration
	Trusted      []netip.Prefix
	Limits       resource.LoadBalancerLimits
}

// Options are a front's collaborators.
type Options struct {
	Listener *net.TCPListener
	Counters *tally.Counters
	Logger   *slog.Logger
}

// Front serves one listening socket. It is made with Serve and ended with Close and Finish.
type Front struct {
	listener *net.TCPListener
	counters *tally.Counters
	logger   *slog.Logger
	config   atomic.Pointer[Config]
	gate     *gate
	active   atomic.Int64 // requests
	retiring atomic.Bool

	ctx       context.Context // ends what is in flight
	cut       context.CancelCauseFunc
	accepting context.Context
	stop      context.CancelFunc
	accept    sync.WaitGroup

	mu      sync.Mutex
	servers []*server // the last one takes new connections
}

// Serve begins to accept on a listener, which is the front's own from now on.
func Serve(o Options, c *Config) *Front {
	f := &Front{listener: o.Listener, counters: o.Counters, logger: newSampled(o.Logger)}
	f.gate = newGate()
	f.ctx, f.cut = context.WithCancelCause(context.Background())
	f.accepting, f.stop = context.WithCancel(f.ctx)
	f.Configure(c)
	f.accept.Go(f.acceptAll)
	return f
}

// Configure puts a new config in place. Connections that exist keep the limits
// that they began with until their next answer, which closes them when those changed.
func (f *Front) Configure(c *Config) {
	old := f.config.Swap(c)
	f.gate.limit(c.Limits.MaxConnections, c.Limits.MaxConnectionsPerClient)
	if old != nil && sameServer(old.Limits, c.Limits) {
		return
	}
	s := newServer(f, c.Limits)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, old := range f.servers {
		old.leaving.Store(true)
	}
	f.servers = append(f.ended(), s)
}

// ended drops the servers that have no connection any more. f.mu is held.
func (f *Front) ended() (living []*server) {
	for _, s := range f.servers {
		if s.connections.Load() > 0 {
			living = append(living, s)
		} else {
			s.close()
		}
	}
	return living
}

// Connections is how many clients are connected; refused how many were turned
// away for their own number.
func (f *Front) Connections() (now int, refused uint64) { return f.gate.counts() }

func (f *Front) acceptAll() {
	for {
		f.gate.wait(f.accepting)
		c, err := f.listener.AcceptTCP()
		if err != nil {
			if f.accepting.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			f.logger.Error("A connection could not be accepted", "error", err)
			if !pause(f.accepting, 50*time.Millisecond) { // too many open files: some must end first
				return
			}
			continue
		}
		f.take(c)
	}
}

func (f *Front) take(c *net.TCPConn) {
	client := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
	if !f.gate.enter(client) {
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Write([]byte("HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
		_ = c.Close()
		return
	}
	f.mu.Lock()
	s := f.servers[len(f.servers)-1]
	s.connections.Add(1) // before Configure may think that it has none
	f.mu.Unlock()
	s.serve(c, func() { f.gate.leave(client) })
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Close stops accepting, for good: the listener is closed when it returns.
// Connections go on, and end with their next answer.
func (f *Front) Close() {
	f.retiring.Store(true)
	f.stop()
	_ = f.listener.Close()
	f.accept.Wait()
}

// Finish ends a closed front. What is in flight is finished and streams have the
// whole drain time-out; a connection that waits for its next request is left
// open for linger, in case one is on its way.
func (f *Front) Finish(linger time.Duration) {
	f.drain(f.config.Load().DrainTimeout, linger)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.servers {
		s.close()
	}
}

const (
	drainStep = 5 * time.Millisecond
	// cutGrace is for streams to say goodbye after their time is over.
	cutGrace = frameGrace + closeGrace + time.Second
)

func (f *Front) drain(timeout, linger time.Duration) {
	began := time.Now()
	for f.busy() || f.gate.now() > 0 && time.Since(began) < linger {
		if time.Since(began) >= timeout {
			f.cut(errCut)
			break
		}
		pause(context.Background(), drainStep)
	}
	for end := time.Now().Add(cutGrace); f.busy() && time.Now().Before(end); {
		pause(context.Background(), drainStep)
	}
	f.cut(errCut)
}

func (f *Front) busy() bool { return f.active.Load() > 0 }
