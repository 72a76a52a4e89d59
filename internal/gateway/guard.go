package gateway

import (
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/droverhq/drover/internal/gateway/wire"
)

// guard keeps what goes out from reaching Drover's own listeners, and the
// machine's metadata addresses.
type guard struct {
	own atomic.Pointer[[]netip.AddrPort]
}

func (g *guard) set(sockets []wire.Socket) {
	var own []netip.AddrPort
	for _, s := range sockets {
		if a, err := netip.ParseAddrPort(s.Address); err == nil {
			own = append(own, a)
		}
	}
	g.own.Store(&own)
}

// isMetadata says whether a cloud's machine metadata may be served at ip.
func isMetadata(ip netip.Addr) bool {
	switch ip.String() {
	case "169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254":
		return true
	}
	return false
}

// forbids an address of ours. A name is not resolved here: what it resolves to
// is asked again when it is connected to.
func (g *guard) forbids(address string) bool {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return false
	}
	ip := a.Addr().Unmap()
	if isMetadata(ip) {
		return true
	}
	own := g.own.Load()
	if own == nil {
		return false
	}
	for _, o := range *own {
		if o.Port() != a.Port() {
			continue
		}
		listens := o.Addr().Unmap()
		switch {
		case listens == ip, ip.IsUnspecified():
			return true
		case listens.IsUnspecified() && isLocal(ip):
			return true
		}
	}
	return false
}

// isLocal says whether the machine has this address.
func isLocal(ip netip.Addr) bool {
	if ip.IsLoopback() {
		return true
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true // not known: rather refuse one too many than loop
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == ip {
			return true
		}
	}
	return false
}
