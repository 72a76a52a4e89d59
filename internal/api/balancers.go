package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// balancers puts load balancers. What depends on other documents is checked when
// all documents of the request are written: two may swap their addresses.
type balancers struct{ address string }

func (balancers) Put(tx *store.Tx, old *resource.Document, d resource.Document, r PutRequest) (PutResult, error) {
	return putPlain(tx, old, d, r)
}

// check refuses what could never listen: two balancers, or one and the API, on
// one address. Whether the port is free on the machine only the gateway can
// tell; that becomes a condition.
func (b balancers) check(tx *store.Tx, d resource.Document) ([]string, error) {
	lb, err := resource.From[resource.LoadBalancerSpec, resource.LoadBalancerStatus](d)
	if err != nil {
		return nil, err
	}
	taken := ""
	if b.address != "" && collide(lb.Spec.Listen, b.address) {
		taken = "Drover's own API"
	}
	others, err := tx.List(resource.KindLoadBalancer, store.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, other := range others.Items {
		var spec struct{ Listen string }
		// One that a newer Drover wrote and this one cannot read is no reason to refuse all others.
		if other.Name != lb.Name && json.Unmarshal(other.Spec, &spec) == nil && collide(lb.Spec.Listen, spec.Listen) {
			taken = "the load balancer " + other.Name
		}
	}
	if taken != "" {
		return nil, &resource.Error{
			Code: resource.CodeInvalid, Detail: "LoadBalancer " + lb.Name + " cannot listen there",
			Fields: []resource.FieldError{{Pointer: "/spec/listen", Detail: lb.Spec.Listen + " is taken by " + taken}},
		}
	}
	return missingBackends(tx, lb)
}

// collide says whether two listening addresses exclude each other.
func collide(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return sameHost(hostA, hostB)
}

func sameHost(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	if strings.EqualFold(a, "localhost") || strings.EqualFold(b, "localhost") {
		return isLocal(a) && isLocal(b)
	}
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	switch {
	case a == "" || b == "" || errX == nil && x == netip.IPv6Unspecified() || errY == nil && y == netip.IPv6Unspecified():
		return true // all addresses of both families
	case errX != nil || errY != nil:
		return false // names: the gateway finds out
	case x.IsUnspecified() || y.IsUnspecified():
		return x.Unmap().Is4() == y.Unmap().Is4()
	}
	return x.Unmap() == y.Unmap()
}

// isLocal says whether something that listens there takes a port of localhost.
func isLocal(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || strings.EqualFold(host, "localhost") || err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}

// missingBackends warns: a balancer may be written before its sets.
func missingBackends(tx *store.Tx, lb resource.LoadBalancer) ([]string, error) {
	var backends []resource.Backend
	if lb.Spec.Backend != nil {
		backends = append(backends, *lb.Spec.Backend)
	}
	for _, route := range lb.Spec.Routes {
		backends = append(backends, route.Backend)
	}
	var warnings []string
	for _, b := range backends {
		if b.Set == "" {
			continue
		}
		_, err := tx.Get(resource.KindScaleSet, b.Set)
		if errors.Is(err, store.ErrNotFound) {
			warnings = append(warnings, fmt.Sprintf("scale set %s does not exist yet: until it does, requests for it wait and then get 503", b.Set))
		} else if err != nil {
			return nil, err
		}
	}
	return warnings, nil
}
