package gateway

import (
	"time"

	"github.com/droverhq/drover/internal/gateway/proxy"
	"github.com/droverhq/drover/internal/gateway/tcp"
	"github.com/droverhq/drover/internal/resource"
)

// front serves one listening socket in a balancer's protocol. What it is
// configured with is its package's own.
type front interface {
	// Close stops accepting: the listener is closed when it returns.
	Close()
	// Finish ends a closed front, by the drain time-out at the latest.
	Finish(linger time.Duration)
	// Connections is how many clients are connected, and how many were turned away.
	Connections() (now int, refused uint64)
}

// serve has a front serve what the plan says: the one that is there, or, where the
// plan has a listener, one of its own.
func (b *balancer) serve(p *plan) {
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
		routes = append(routes, proxy.Route{Host: r.Host, Path: r.Path, Pool: own.pool, Unserved: own.unserved()})
	}
	c.Routes, c.H2C = proxy.NewRoutes(routes), p.Spec.BackendProtocol == resource.BackendH2C
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
