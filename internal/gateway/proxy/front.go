package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/gateway/gate"
	"github.com/droverhq/drover/internal/gateway/socket"
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
	// H2C has processes spoken to by HTTP/2.
	H2C bool
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
	gate     *gate.Gate
	extra    repeats
	epoch    time.Time
	today    atomic.Pointer[dateLine]
	retiring atomic.Bool     // connections end with their next answer
	over     atomic.Bool     // nothing in flight has time left
	lot      *socket.Lot     // of idle connections; nil: this system has none
	living   context.Context // until all is closed
	die      context.CancelFunc

	accepting context.Context
	stop      context.CancelFunc
	accept    sync.WaitGroup
	serving   sync.WaitGroup // connections, and the sweep over them

	mu       sync.Mutex
	first    *conn
	sweeping bool
}

// Serve begins to accept on a listener, which is the front's own from now on.
func Serve(o Options, c *Config) *Front {
	f := &Front{listener: o.Listener, counters: o.Counters, logger: newSampled(o.Logger), gate: gate.New(), epoch: time.Now()}
	f.living, f.die = context.WithCancel(context.Background())
	f.accepting, f.stop = context.WithCancel(context.Background())
	if lot, err := socket.NewLot(); err == nil { // else each connection keeps its goroutine
		f.lot = lot
		f.serving.Go(lot.Run)
	}
	f.Configure(c)
	f.accept.Go(func() { f.gate.Accept(f.accepting, f.listener, f.logger, f.take, turnAway) })
	return f
}

// Configure puts a new config in place, limits of connections that exist included.
func (f *Front) Configure(c *Config) {
	f.config.Store(c)
	f.gate.Limit(c.Limits.MaxConnections, c.Limits.MaxConnectionsPerClient)
}

// now is a time that is cheap to get.
func (f *Front) now() time.Duration { return time.Since(f.epoch) }

// Connections is how many clients are connected; refused how many were turned
// away for their own number.
func (f *Front) Connections() (now int, refused uint64) { return f.gate.Counts() }

func (f *Front) take(tcp *net.TCPConn, left func()) {
	c := &conn{front: f, peer: peerOf(tcp), since: f.now(), leave: left}
	if err := c.in.Init(tcp, heads); err != nil {
		left()
		_ = tcp.Close()
		return
	}
	f.enter(c)
	f.serving.Go(c.serve)
}

// turnAway tells a client that it has too many connections.
func turnAway(tcp *net.TCPConn) {
	_ = tcp.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = tcp.Write([]byte("HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
	_ = tcp.Close()
}

func (f *Front) enter(c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.next = f.first; c.next != nil {
		c.next.prev = c
	}
	f.first = c
	if !f.sweeping {
		f.sweeping = true
		f.serving.Go(f.sweep)
	}
}

func (f *Front) left(c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		f.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.leave()
}

// connections appends all that are open.
func (f *Front) connections(all []*conn) []*conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := f.first; c != nil; c = c.next {
		all = append(all, c)
	}
	return all
}

// Close stops accepting, for good: the listener is closed when it returns.
// Connections go on, and end with their next answer; of HTTP/2, with the last one.
func (f *Front) Close() {
	f.retiring.Store(true)
	f.stop()
	_ = f.listener.Close()
	f.accept.Wait()
	for _, c := range f.connections(nil) {
		c.retire()
	}
}

// Finish ends a closed front. What is in flight is finished and streams have the
// whole drain time-out; a connection that waits for its next request is left
// open for linger, in case one is on its way.
func (f *Front) Finish(linger time.Duration) {
	f.drain(f.config.Load().DrainTimeout, linger)
	f.cut(true)
	f.die()
	if f.lot != nil {
		f.lot.Close()
	}
	f.serving.Wait()
}

// cut ends all requests, and with forGood all connections too.
func (f *Front) cut(forGood bool) {
	f.over.Store(true)
	for _, c := range f.connections(nil) {
		c.cut(forGood)
	}
}

const (
	drainStep = 5 * time.Millisecond
	// cutGrace is for streams to say goodbye after their time is over.
	cutGrace = frameGrace + closeGrace + time.Second
)

func (f *Front) drain(timeout, linger time.Duration) {
	began := time.Now()
	for f.busy() || f.open() > 0 && time.Since(began) < linger {
		if time.Since(began) >= timeout {
			f.cut(false)
			break
		}
		time.Sleep(drainStep)
	}
	for end := time.Now().Add(cutGrace); f.busy() && time.Now().Before(end); {
		time.Sleep(drainStep)
	}
}

func (f *Front) open() int {
	now, _ := f.gate.Counts()
	return now
}

// busy says whether any request waits for its answer.
func (f *Front) busy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := f.first; c != nil; c = c.next {
		if c.busyNow() {
			return true
		}
	}
	return false
}

// dateLine is the Date field of one second.
type dateLine struct {
	second time.Duration
	text   string
}

// appendDate appends the date field's value.
func (f *Front) appendDate(dst []byte) []byte {
	line := f.date()
	return append(dst, line[len("Date: "):len(line)-len("\r\n")]...)
}

// date is the field that says when an answer was passed on. It may be a second old.
func (f *Front) date() string {
	second := f.now() / time.Second
	d := f.today.Load()
	if d == nil || d.second != second {
		d = &dateLine{second, "Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n"}
		f.today.Store(d)
	}
	return d.text
}

// handle has a request of HTTP/1.1 answered.
func (f *Front) handle(c *conn, w *work, config *Config) {
	defer c.idle()
	x := &w.x
	x.start(f, config, &w.client, &w.req, c.peer)
	if x.choose() {
		w.client.last = c.busy(x)
		x.run()
	}
}
