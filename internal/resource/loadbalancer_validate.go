package resource

import (
	"math"
	"net/netip"
	"regexp"
	"strings"
)

func (s *LoadBalancerSpec) validate(c *checker) {
	if s.Listen == "" {
		c.add("/spec/listen", `expected HOST:PORT, for example "127.0.0.1:8080"`)
	} else {
		c.checkAddress("/spec/listen", s.Listen, 0)
	}
	oneOf(c, "/spec/protocol", s.Protocol, ProtocolHTTP, ProtocolTCP)
	oneOf(c, "/spec/backendProtocol", s.BackendProtocol, BackendHTTP1, BackendH2C)
	switch {
	case s.Backend != nil && len(s.Routes) > 0:
		c.add("/spec/routes", "a load balancer has a backend or routes, not both: write the backend as a route without host and path")
	case s.Backend != nil:
		s.Backend.validate(c, "/spec/backend")
	case len(s.Routes) == 0:
		c.add("/spec/backend", "expected a backend, for example the name of a ScaleSet, or routes")
	}
	checkRoutes(c, s.Routes)
	s.Probe.validate(c)
	within(c, "/spec/drainTimeout", s.DrainTimeout, 0, day)
	within(c, "/spec/queueTimeout", s.QueueTimeout, 0, hour)
	for i, proxy := range s.TrustedProxies {
		if !isNetwork(proxy) {
			c.add(pointerTo("/spec/trustedProxies", itoa(i)), "%s is not a network: write for example 10.0.0.0/8 or 10.1.2.3", quote(proxy))
		}
	}
	s.Limits.validate(c)
	s.Affinity.validate(c)
	s.AccessLog.validate(c)
	if s.TLS != nil {
		s.TLS.validate(c, s.Listen)
	}
	if s.Protocol == ProtocolTCP {
		s.checkTCP(c)
	}
}

// checkTCP refuses what a connection that nobody looks into cannot obey. What is
// written as its default asks for nothing.
func (s *LoadBalancerSpec) checkTCP(c *checker) {
	const only = "is about HTTP requests, which protocol: tcp does not look into: remove it, or write protocol: http"
	for i, r := range s.Routes {
		at := pointerTo("/spec/routes", itoa(i))
		if r.Host != "" {
			c.add(at+"/host", only)
		}
		if r.Path != "" {
			c.add(at+"/path", only)
		}
	}
	if len(s.TrustedProxies) > 0 {
		c.add("/spec/trustedProxies", only)
	}
	if s.Affinity != nil {
		c.add("/spec/affinity", only)
	}
	if s.TLS != nil {
		c.add("/spec/tls", "is for HTTP: protocol: tcp passes bytes on as they come, TLS too, to backends that can end it: remove it, or write protocol: http")
	}
	if s.BackendProtocol == BackendH2C {
		c.add("/spec/backendProtocol", only)
	}
	l, usual := s.Limits, DefaultLoadBalancerSpec().Limits
	for _, f := range []struct {
		name  string
		asked bool
	}{
		{"maxHeaderBytes", l.MaxHeaderBytes != 0 && l.MaxHeaderBytes != usual.MaxHeaderBytes},
		{"maxBodyBytes", l.MaxBodyBytes != 0},
		{"headerTimeout", l.HeaderTimeout != 0 && l.HeaderTimeout != usual.HeaderTimeout},
		{"requestTimeout", l.RequestTimeout != 0},
	} {
		if f.asked {
			c.add("/spec/limits/"+f.name, only)
		}
	}
}

func isNetwork(s string) bool {
	if _, err := netip.ParsePrefix(s); err == nil {
		return true
	}
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == ""
}

const maxAddresses = 1000

func (b *Backend) validate(c *checker, at string) {
	if b.Set != "" {
		if err := ValidateName(b.Set); err != nil {
			c.add(at, "expected the name of a ScaleSet or {addresses: [HOST:PORT]}: %s", err)
		}
		return
	}
	at = pointerTo(at, "addresses")
	if n := len(b.Addresses); n == 0 || n > maxAddresses {
		c.add(at, "expected 1 to %d addresses, for example [\"127.0.0.1:9000\"], not %d", maxAddresses, n)
		return
	}
	first := map[string]int{}
	for i, address := range b.Addresses {
		here := pointerTo(at, itoa(i))
		c.checkAddress(here, address, 1)
		if j, double := first[address]; double {
			c.add(here, "%s is there already, as item %d", quote(address), j)
			continue
		}
		first[address] = i
	}
}

const maxRoutes = 1000

func checkRoutes(c *checker, routes []Route) {
	if len(routes) > maxRoutes {
		c.add("/spec/routes", "expected at most %d routes, not %d", maxRoutes, len(routes))
		return
	}
	type match struct{ host, path string }
	first := map[match]int{}
	for i, r := range routes {
		at := pointerTo("/spec/routes", itoa(i))
		checkRouteHost(c, at+"/host", r.Host)
		c.checkRoutePath(at+"/path", r.Path)
		if r.Backend.Set == "" && r.Backend.Addresses == nil {
			c.add(at+"/backend", "expected a backend, for example the name of a ScaleSet")
		} else {
			r.Backend.validate(c, at+"/backend")
		}
		m := match{r.Host, strings.TrimSuffix(r.Path, "/")}
		if j, double := first[m]; double {
			c.add(at, "matches the same as route %d: one host and path can have one backend only", j)
			continue
		}
		first[m] = i
	}
}

func checkRouteHost(c *checker, at, host string) {
	switch name := strings.TrimPrefix(host, "*."); {
	case host == "":
	case strings.ToLower(host) != host:
		c.add(at, "%s has capital letters: write %s", quote(host), strings.ToLower(host))
	case strings.Contains(host, ":"):
		c.add(at, "%s has a port: a route matches the host alone", quote(host))
	case len(name) > 253 || !hostName.MatchString(name):
		c.add(at, "%s is not a host: write for example shop.example or *.shop.example", quote(host))
	}
}

func (p *Probe) validate(c *checker) {
	if p == nil {
		return
	}
	const at = "/spec/probe"
	c.checkRequestPath(at+"/path", p.Path)
	within(c, at+"/interval", p.Interval, second/1000, hour)
	within(c, at+"/timeout", p.Timeout, second/1000, hour)
	within(c, at+"/unhealthyThreshold", p.UnhealthyThreshold, 1, 1000)
	within(c, at+"/healthyThreshold", p.HealthyThreshold, 1, 1000)
}

// cookieName is a name that is written the same everywhere: fewer characters than a
// cookie's may have (RFC 6265 §4.1.1).
var cookieName = regexp.MustCompile(`^[A-Za-z0-9_][-A-Za-z0-9_.]{0,63}$`)

func (a *Affinity) validate(c *checker) {
	if a == nil {
		return
	}
	const at = "/spec/affinity/cookie"
	switch {
	case a.Cookie == "":
		c.add(at, "expected the name of a cookie, for example front_instance")
	case !cookieName.MatchString(a.Cookie):
		c.add(at, "%s is not a cookie's name: use 1 to 64 of a-z, A-Z, 0-9, _, - and .", quote(a.Cookie))
	case strings.HasPrefix(a.Cookie, "__"):
		c.add(at, "%s begins with __, which browsers have rules of their own for: use another name", quote(a.Cookie))
	case a.Cookie == SessionCookie:
		c.add(at, "%s is Drover's own: use another name", quote(a.Cookie))
	}
}

func (l *AccessLog) validate(c *checker) {
	if l == nil {
		return
	}
	const at = "/spec/accessLog"
	c.checkHostPath(at+"/file", l.File, "/var/log/drover/access.log")
	within(c, at+"/maxBytes", l.MaxBytes, 64<<10, 1<<40)
	within(c, at+"/keep", l.Keep, 0, 1000)
}

func (l *LoadBalancerLimits) validate(c *checker) {
	const at = "/spec/limits"
	if l.MaxHeaderBytes != 0 {
		within(c, at+"/maxHeaderBytes", l.MaxHeaderBytes, 1<<10, 16<<20)
	}
	within(c, at+"/maxConnections", l.MaxConnections, 0, math.MaxInt32)
	within(c, at+"/maxConnectionsPerClient", l.MaxConnectionsPerClient, 0, math.MaxInt32)
	within(c, at+"/headerTimeout", l.HeaderTimeout, 0, day)
	within(c, at+"/requestTimeout", l.RequestTimeout, 0, 30*day)
	within(c, at+"/idleTimeout", l.IdleTimeout, 0, day)
	within(c, at+"/maxQueue", l.MaxQueue, 0, math.MaxInt32)
}
