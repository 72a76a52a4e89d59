package gateway

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/gateway/accesslog"
	"github.com/droverhq/drover/internal/gateway/certificate"
	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/proxy"
	"github.com/droverhq/drover/internal/gateway/tally"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// stopLinger is how long a stopping gateway leaves idle connections open, for
// requests that are on their way.
const stopLinger = 250 * time.Millisecond

// balancer is a load balancer as it is applied.
type balancer struct {
	wire.Balancer
	state     *state
	queue     *pool.Queue
	counters  *tally.Counters
	front     front
	on        *socket             // what front accepts on
	bindings  map[string]*binding // by set
	log       *accesslog.Log      // nil: it never had one
	inherited figures             // of gateways before this one, beside counters
	// certificates are what TLS is served with; nil: it is not.
	certificates *certificate.Keeper
	redirect     *redirect      // nil: there is none
	redirecting  sync.WaitGroup // redirects that were closed
}

func newBalancer(s *state) *balancer {
	return &balancer{state: s, queue: &pool.Queue{}, counters: &tally.Counters{}, bindings: map[string]*binding{}}
}

// figures are what is counted of a balancer and not of its requests.
type figures struct {
	refused    uint64 // connections
	logDropped uint64 // lines of the access log
}

// plan is what a balancer will become; making it changes nothing.
type plan struct {
	wire.Balancer
	socket *socket
	listen *net.TCPListener // nil: the front stays on the socket that it has
	// The same for who redirects; both nil: nobody does.
	redirect       *socket
	listenRedirect *net.TCPListener
	backend        []string // the set of each route
	sets           map[string]wire.Set
	config         proxy.Config
}

func (s *state) planBalancer(b wire.Balancer) (*plan, error) {
	p := &plan{Balancer: b, socket: s.sockets[b.Socket], sets: map[string]wire.Set{}}
	if p.socket == nil && s.stage != departing {
		return nil, fmt.Errorf("there is no socket %q", b.Socket)
	}
	trusted, err := proxy.ParseTrusted(b.Spec.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("trustedProxies: %w", err)
	}
	p.config = proxy.Config{
		Name:         b.Name,
		QueueTimeout: time.Duration(b.Spec.QueueTimeout),
		DrainTimeout: time.Duration(b.Spec.DrainTimeout),
		Trusted:      trusted,
		Limits:       b.Spec.Limits,
	}
	if b.Spec.Affinity != nil {
		p.config.Affinity = []byte(b.Spec.Affinity.Cookie)
	}
	for _, r := range routesOf(b.Spec) {
		if err := s.planBackend(p, r.Backend); err != nil {
			return nil, err
		}
	}
	if s.stage == departing { // the successor listens
		return p, nil
	}
	if err := s.planRedirect(p); err != nil {
		return nil, err
	}
	if old := s.balancers[b.Name]; old == nil || old.on != p.socket || old.Spec.Protocol != b.Spec.Protocol {
		if p.listen, err = p.socket.listener(); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

// close lets go of what a plan that comes to nothing has opened.
func (p *plan) close() {
	for _, l := range []*net.TCPListener{p.listen, p.listenRedirect} {
		if l != nil {
			_ = l.Close()
		}
	}
}

func routesOf(spec resource.LoadBalancerSpec) []resource.Route {
	if spec.Backend != nil {
		return []resource.Route{{Backend: *spec.Backend}}
	}
	return spec.Routes
}

func (s *state) planBackend(p *plan, b resource.Backend) error {
	if b.Set != "" {
		p.backend = append(p.backend, b.Set)
		p.sets[b.Set] = wire.Set{Name: b.Set}
		return nil
	}
	name := fixedName(b.Addresses)
	t := wire.Set{Name: name, Check: &wire.Check{
		Interval: time.Second, Timeout: time.Second, UnhealthyThreshold: 2, HealthyThreshold: 1,
	}}
	for _, address := range b.Addresses {
		if s.forbidden(address) {
			return fmt.Errorf("the backend %s is one of Drover's own addresses", address)
		}
		t.Instances = append(t.Instances, wire.Instance{Name: address, Address: address, Admission: resource.AdmissionInService})
	}
	p.backend = append(p.backend, name)
	p.sets[name] = t
	return nil
}

// fixedName names a list of addresses as if it were a set.
func fixedName(addresses []string) string { return "=" + strings.Join(addresses, ",") }

func isFixed(set string) bool { return strings.HasPrefix(set, "=") }

// bind gives a balancer a pool over each set that it sends to. A pool that it
// does not use any more takes no claims; its drains go on.
func (s *state) bind(p *plan) {
	b := s.balancers[p.Name]
	if b == nil {
		b = newBalancer(s)
		s.balancers[p.Name] = b
	}
	up := map[string]bool{}
	for _, address := range p.Up {
		up[address] = true
	}
	for name := range p.sets {
		own := b.bindings[name]
		if own == nil {
			own = &binding{
				balancer: p.Name,
				set:      s.sets[name],
				pool:     pool.New(b.queue, p.config.DrainTimeout, s.touch),
				check:    checkOf(&p.Spec),
				up:       up,
				members:  map[string]*bound{},
			}
			b.bindings[name] = own
			own.set.bindings = append(own.set.bindings, own)
		}
		own.preview = p.Preview
		own.recheck(checkOf(&p.Spec))
		own.pool.SetDrain(p.config.DrainTimeout)
	}
}

// checkOf is a balancer's own check: its probe, by what it speaks to instances.
func checkOf(spec *resource.LoadBalancerSpec) *wire.Check {
	p := spec.Probe
	if p == nil {
		return nil
	}
	return &wire.Check{
		Path:               p.Path,
		H2C:                p.Path != "" && spec.BackendProtocol == resource.BackendH2C,
		Interval:           time.Duration(p.Interval),
		Timeout:            time.Duration(p.Timeout),
		UnhealthyThreshold: p.UnhealthyThreshold,
		HealthyThreshold:   p.HealthyThreshold,
	}
}

// apply puts a plan in place. Its sets are up to date already.
func (b *balancer) apply(p *plan) {
	if p.listen != nil {
		b.closeFront(b.drainTimeout(), nil)
	}
	b.Balancer, b.on = p.Balancer, p.socket
	b.queue.SetMax(p.Spec.Limits.MaxQueue)
	b.serve(p)
	b.redirects(p)
	for name, own := range b.bindings {
		if _, ok := p.sets[name]; !ok {
			b.unbind(name, own)
		}
	}
}

func (b *balancer) drainTimeout() time.Duration { return time.Duration(b.Spec.DrainTimeout) }

func (b *balancer) unbind(name string, own *binding) {
	own.retired = true
	own.pool.Close()
	delete(b.bindings, name)
}

// closeFront closes the listener and lets the front finish. finished, which may be
// nil, is called afterwards with the state's lock held.
func (b *balancer) closeFront(linger time.Duration, finished func()) {
	f := b.front
	if f == nil {
		return
	}
	b.front = nil
	f.Close()
	b.state.finishing.Go(func() {
		f.Finish(linger)
		if finished != nil {
			b.state.mu.Lock()
			defer b.state.mu.Unlock()
			finished()
		}
	})
}

// pause stops accepting, and resume begins again.
func (b *balancer) pause() {
	if b.front != nil {
		b.front.Pause()
	}
	if b.redirect != nil {
		b.redirect.front.Pause()
	}
}

func (b *balancer) resume() error {
	var errs []error
	if b.front != nil {
		errs = append(errs, resume(b.front, b.on))
	}
	if b.redirect != nil {
		errs = append(errs, resume(b.redirect.front, b.redirect.on))
	}
	return errors.Join(errs...)
}

func resume(f front, on *socket) error {
	l, err := on.listener()
	if err == nil {
		f.Resume(l)
	}
	return err
}

// remove ends the balancer: its listener is closed when it returns. Its pools
// serve what still comes on connections that are open.
func (b *balancer) remove(linger time.Duration) {
	b.on = nil
	b.closeRedirect()
	b.closeFront(linger, func() {
		for name, own := range b.bindings {
			b.unbind(name, own)
		}
		if b.log != nil {
			b.state.finishing.Go(func() {
				b.redirecting.Wait() // then all that is to be told has been
				b.log.Close()
			})
		}
	})
}
