package gateway

import (
	"fmt"
	"net"

	"github.com/droverhq/drover/internal/gateway/proxy"
	"github.com/droverhq/drover/internal/gateway/tally"
)

// redirect is where a balancer sends clients of plain HTTP to HTTPS.
type redirect struct {
	on    *socket
	front *proxy.Front
}

// planRedirect finds the plan's second socket, if it has one.
func (s *state) planRedirect(p *plan) error {
	if p.Redirect == "" {
		return nil
	}
	if p.redirect = s.sockets[p.Redirect]; p.redirect == nil {
		return fmt.Errorf("there is no socket %q", p.Redirect)
	}
	if old := s.balancers[p.Name]; old != nil && old.redirect != nil && old.redirect.on == p.redirect {
		return nil
	}
	var err error
	p.listenRedirect, err = p.redirect.listener()
	return err
}

// redirects has the plan's second socket served. Its limits are the balancer's.
func (b *balancer) redirects(p *plan) {
	if p.redirect == nil || p.listenRedirect != nil {
		b.closeRedirect()
	}
	if p.redirect == nil {
		return
	}
	c := p.config
	c.Redirect = &proxy.Redirect{Port: portOfHTTPS(p.socket.Address)}
	if p.listenRedirect == nil {
		b.redirect.front.Configure(&c)
		return
	}
	b.redirect = &redirect{p.redirect, proxy.Serve(proxy.Options{
		Listener: p.listenRedirect, Counters: &tally.Counters{}, Logger: b.state.logger,
	}, &c)}
}

// portOfHTTPS is what follows a host's name in the address of what listens there.
func portOfHTTPS(address string) string {
	if _, port, err := net.SplitHostPort(address); err == nil && port != "443" {
		return ":" + port
	}
	return ""
}

// closeRedirect closes the listener. What is in flight has its answer already.
func (b *balancer) closeRedirect() {
	r := b.redirect
	if r == nil {
		return
	}
	b.redirect = nil
	r.front.Close()
	b.redirecting.Add(1)
	b.state.finishing.Go(func() {
		defer b.redirecting.Done()
		r.front.Finish(stopLinger)
	})
}
