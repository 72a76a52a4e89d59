package tcp

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/gateway/gate"
	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/tally"
	"github.com/droverhq/drover/internal/resource"
)

// Config is what a front needs of the documents. It is never changed.
type Config struct {
	Name string
	Pool *pool.Pool
	// Unserved counts connections that no member took; nil: nothing does.
	Unserved     *tally.Counters
	QueueTimeout time.Duration
	DrainTimeout time.Duration
	Limits       resource.LoadBalancerLimits
	// Log has a line of every connection; nil: there is none.
	Log *accesslog.Log
	Set string // whose pool it is, for the log
}

// Options are a front's collaborators.
type Options struct {
	Listener *net.TCPListener
	Counters *tally.Counters
	Logger   *slog.Logger
}

// Front serves one listening socket. It is made with Serve and ended with Close and Finish.
type Front struct {
	counters *tally.Counters
	logger   *slog.Logger
	config   atomic.Pointer[Config]
	gate     *gate.Gate

	accepting *gate.Accepting
	over      context.Context // done: the listener's drain is at its time-out
	end       context.CancelFunc
	running   sync.WaitGroup // sessions
	swept     sync.WaitGroup

	mu       sync.Mutex
	sessions map[*session]struct{}
	told     time.Time // when complain last did
	untold   int
}

// Serve begins to accept on a listener, which is the front's own from now on.
func Serve(o Options, c *Config) *Front {
	f := &Front{counters: o.Counters, logger: o.Logger, gate: gate.New(), sessions: map[*session]struct{}{}}
	if f.logger == nil {
		f.logger = slog.New(slog.DiscardHandler)
	}
	f.over, f.end = context.WithCancel(context.Background())
	f.Configure(c)
	f.Resume(o.Listener)
	f.swept.Go(f.sweep)
	return f
}

// Configure puts a new config in place, for connections that exist too.
func (f *Front) Configure(c *Config) {
	f.config.Store(c)
	f.gate.Limit(c.Limits.MaxConnections, c.Limits.MaxConnectionsPerClient)
}

// Connections is how many clients are connected; refused how many were turned
// away for their own number.
func (f *Front) Connections() (now int, refused uint64) { return f.gate.Counts() }

func (f *Front) take(c *net.TCPConn, left func()) {
	s := newSession(f, c)
	f.mu.Lock()
	f.sessions[s] = struct{}{}
	f.mu.Unlock()
	f.running.Go(func() {
		s.run()
		f.mu.Lock()
		delete(f.sessions, s)
		f.mu.Unlock()
		left()
	})
}

// turnAway has the client see that it was not served: an orderly end could be
// taken for an answer.
func turnAway(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// Close stops accepting, for good: the listener is closed when it returns.
// Connections go on.
func (f *Front) Close() { f.Pause() }

// Pause stops accepting: the listener is closed when it returns.
func (f *Front) Pause() { f.accepting.Stop() }

// Resume accepts on a listener, which is the front's own from now on.
func (f *Front) Resume(l *net.TCPListener) {
	f.accepting = f.gate.Start(l, f.logger, f.take, turnAway)
}

// Finish ends a closed front: connections have the whole drain time-out, whether
// or not anything is sent on them, as nobody can tell what is the last of it.
func (f *Front) Finish(time.Duration) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.running.Wait()
	}()
	t := time.NewTimer(f.config.Load().DrainTimeout)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
	f.end()
	for _, s := range f.list() {
		s.Interrupt()
	}
	<-done // soon: whatever a session does from here on has a limit
	f.swept.Wait()
}

func (f *Front) list() []*session {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*session, 0, len(f.sessions))
	for s := range f.sessions {
		list = append(list, s)
	}
	return list
}

// complainEvery bounds lines that thousands of connections a second may give cause to.
const complainEvery = time.Second

func (f *Front) complain(message string, about ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.told) < complainEvery {
		f.untold++
		return
	}
	f.logger.Warn(message, append(about, "linesLeftOut", f.untold)...)
	f.told, f.untold = time.Now(), 0
}

const (
	// afterBackend is how long a client may be silent once the process has finished.
	afterBackend = 5 * time.Second
	// A sweep comes sweepsPerLimit times within the time that it enforces.
	sweepsPerLimit              = 8
	shortestSweep, longestSweep = 10 * time.Millisecond, time.Second
)

// sweep ends sessions that were silent for too long, until the front has finished.
func (f *Front) sweep() {
	for {
		idle := time.Duration(f.config.Load().Limits.IdleTimeout)
		step := longestSweep
		if idle > 0 {
			step = min(max(idle/sweepsPerLimit, shortestSweep), longestSweep)
		}
		select {
		case <-f.over.Done():
			return
		case now := <-time.After(step):
			for _, s := range f.list() {
				s.expire(now, idle)
			}
		}
	}
}
