package gateway

import (
	"net"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/gateway/proxy"
	"github.com/droverhq/drover/internal/gateway/tcp"
	"github.com/droverhq/drover/internal/resource"
)

// front serves one listening socket in a balancer's protocol. What it is
// configured with is its package's own.
type front interface {
	// Close stops accepting for good, and Pause until Resume: the listener is closed
	// when it returns.
	Close()
	Pause()
	Resume(*net.TCPListener)
	// Finish ends a closed front, by the drain time-out at the latest.
	Finish(linger time.Duration)
	// Connections is how many clients are connected, and how many were turned away.
	Connections() (now int, refused uint64)
}

// serve has a front serve what the plan says: the one that is there, or, where the
// plan has a listener, one of its own.
func (b *balancer) serve(p *plan) {
	p.config.Log = b.logFor(p)
	if p.Spec.Protocol == resource.ProtocolTCP {
		b.serveTCP(p)
	} else {
		b.serveHTTP(p)
	}
}

func (b *balancer) serveHTTP(p *plan) {
	c := p.config
	var routes []proxy.Route
	for i, r := range routesOf(p.Spec) {
		own := b.bindings[p.backend[i]]
		routes = append(routes, proxy.Route{Host: r.Host, Path: r.Path, Pool: own.pool, Set: r.Backend.Set, Unserved: own.unserved()})
	}
	c.Routes, c.H2C = proxy.NewRoutes(routes), p.Spec.BackendProtocol == resource.BackendH2C
	c.TLS = b.tlsOf(p)
	if p.listen == nil {
		b.front.(*proxy.Front).Configure(&c)
		return
	}
	b.front = proxy.Serve(proxy.Options{Listener: p.listen, Counters: b.counters, Logger: b.state.logger}, &c)
}

func (b *balancer) serveTCP(p *plan) {
	own := b.bindings[p.backend[0]]
	c := &tcp.Config{
		Name:         p.Name,
		Pool:         own.pool,
		Log:          p.config.Log,
		Set:          routesOf(p.Spec)[0].Backend.Set,
		Unserved:     own.unserved(),
		QueueTimeout: p.config.QueueTimeout,
		DrainTimeout: p.config.DrainTimeout,
		Limits:       p.Spec.Limits,
	}
	if p.listen == nil {
		b.front.(*tcp.Front).Configure(c)
		return
	}
	b.front = tcp.Serve(tcp.Options{Listener: p.listen, Counters: b.counters, Logger: b.state.logger}, c)
}

// logFor is the balancer's access log; nil: it has none. What ended before the log
// was taken away may still want to be in it.
func (b *balancer) logFor(p *plan) *accesslog.Log {
	if p.Spec.AccessLog == nil {
		if b.log != nil {
			b.log.Configure(nil)
		}
		return nil
	}
	if b.log == nil {
		b.log = accesslog.New(p.Name, b.state.logs)
	}
	b.log.Configure(&accesslog.Target{AccessLog: *p.Spec.AccessLog, Paths: b.state.hostPaths})
	return b.log
}

// closeLogs writes what balancers that were not removed have still to tell: those
// of a gateway that leaves.
func (s *state) closeLogs() {
	var closing sync.WaitGroup
	defer closing.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.balancers {
		if b.log != nil {
			closing.Go(b.log.Close)
		}
	}
}
