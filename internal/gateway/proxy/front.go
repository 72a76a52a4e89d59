package proxy

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/gateway/accesslog"
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
	// Log has a line of every request; nil: there is none.
	Log *accesslog.Log
	// Affinity is the name of the cookie that keeps a client with a member; nil: none does.
	Affinity []byte
	TLS      *tls.Config // nil: clients speak plain HTTP
	Redirect *Redirect   // nil: requests go to members
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
	counters *tally.Counters
	logger   *slog.Logger
	config   atomic.Pointer[Config]
	gate     *gate.Gate
	extra    repeats
	epoch    time.Time
	today    atomic.Pointer[dateLine]
	retiring atomic.Bool // connections end with their next answer
	over     atomic.Bool // nothing in flight has time left
	heir     atomic.Pointer[heir]
	leftAt   atomic.Int64    // when Leave was called; 0: it was not
	lot      *socket.Lot     // of idle connections; nil: this system has none
	living   context.Context // until all is closed
	die      context.CancelFunc

	accepting *gate.Accepting
	serving   sync.WaitGroup // connections, and the sweep over them

	mu       sync.Mutex
	first    *conn
	sweeping bool
}

// Serve begins to accept on a listener, which is the front's own from now on.
func Serve(o Options, c *Config) *Front {
	f := &Front{counters: o.Counters, logger: newSampled(o.Logger), gate: gate.New(), epoch: time.Now()}
	f.living, f.die = context.WithCancel(context.Background())
	if lot, err := socket.NewLot(); err == nil { // else each connection keeps its goroutine
		f.lot = lot
		f.serving.Go(lot.Run)
	}
	f.Configure(c)
	f.Resume(o.Listener)
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
	if config := f.config.Load().TLS; config != nil {
		c.in.Secure(config)
	}
	f.enter(c)
	f.serving.Go(c.serve)
}

// turnAway tells a client that it has too many connections. By TLS that would cost
// what the limit is there to save.
func (f *Front) turnAway(tcp *net.TCPConn) {
	if f.config.Load().TLS == nil {
		_ = tcp.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = tcp.Write(plainAnswer(http.StatusTooManyRequests, ""))
	}
	_ = tcp.Close()
}

// plainAnswer is the last one on a connection.
func plainAnswer(status int, text string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s",
		status, http.StatusText(status), len(text), text)
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
	f.Pause()
	for _, c := range f.connections(nil) {
		c.retire()
	}
}

// Pause stops accepting: the listener is closed when it returns.
func (f *Front) Pause() { f.accepting.Stop() }

// Resume accepts on a listener, which is the front's own from now on.
func (f *Front) Resume(l *net.TCPListener) {
	f.accepting = f.gate.Start(l, f.logger, f.take, f.turnAway)
}

// Finish ends a closed front. What is in flight is finished and streams have the
// whole drain time-out; a connection that waits for its next request is left
// open for linger, in case one is on its way.
func (f *Front) Finish(linger time.Duration) {
	f.drain(f.config.Load().DrainTimeout, linger)
	f.end()
}

func (f *Front) end() {
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
	f.partWith()
}

// partWith gives streams whose time is over the time to say goodbye.
func (f *Front) partWith() {
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
	x.start(config, &w.client, &w.req, c)
	if x.choose() {
		w.client.last = c.busy(x)
		x.run()
	}
}
