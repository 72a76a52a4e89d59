package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
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
	if err := checkListen(tx, d, "/spec/listen", lb.Spec.Listen, b.address); err != nil {
		return nil, err
	}
	if t := lb.Spec.TLS; t != nil && t.RedirectFrom != "" {
		if err := checkListen(tx, d, "/spec/tls/redirectFrom", t.RedirectFrom, b.address); err != nil {
			return nil, err
		}
	}
	if err := checkLogFile(tx, lb); err != nil {
		return nil, err
	}
	return missingBackends(tx, lb)
}

// checkLogFile refuses an access log that would not get on with another one's. One
// file may have the lines of several load balancers.
func checkLogFile(tx *store.Tx, lb resource.LoadBalancer) error {
	mine := lb.Spec.AccessLog
	if mine == nil {
		return nil
	}
	others, err := tx.List(resource.KindLoadBalancer, store.ListOptions{})
	if err != nil {
		return err
	}
	for _, o := range others.Items {
		var spec struct{ AccessLog *resource.AccessLog }
		if o.Name == lb.Name || json.Unmarshal(o.Spec, &spec) != nil || spec.AccessLog == nil {
			continue
		}
		detail := ""
		switch its := *spec.AccessLog; {
		case its == *mine:
		case its.File == mine.File:
			detail = fmt.Sprintf("is the access log of the load balancer %s, too, with maxBytes %s and keep %d: write the same, or another file", o.Name, its.MaxBytes, its.Keep)
		case its.Rotates(mine.File) || mine.Rotates(its.File):
			detail = fmt.Sprintf("and the access log of the load balancer %s, %s, would be renamed over each other: write another file", o.Name, its.File)
		}
		if detail != "" {
			return &resource.Error{
				Code: resource.CodeInvalid, Detail: lb.Kind + " " + lb.Name + " cannot have that access log",
				Fields: []resource.FieldError{{Pointer: "/spec/accessLog/file", Detail: detail}},
			}
		}
	}
	return nil
}

// previews are the rules for where scale sets' previews listen.
type previews struct{ address string }

func (p previews) check(tx *store.Tx, d resource.Document) ([]string, error) {
	for _, listen := range listensOf(d) {
		if err := checkListen(tx, d, "/spec/upgradePolicy/blueGreen/preview/listen", listen, p.address); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// checkListen refuses an address that the API, or another document, has.
func checkListen(tx *store.Tx, d resource.Document, pointer, listen, api string) error {
	taken := ""
	if api != "" && collide(listen, api) {
		taken = "Drover's own API"
	}
	for _, other := range []struct{ kind, what string }{
		{resource.KindLoadBalancer, "the load balancer "}, {resource.KindScaleSet, "the preview of the scale set "},
	} {
		others, err := tx.List(other.kind, store.ListOptions{})
		if err != nil {
			return err
		}
		for _, o := range others.Items {
			if o.Kind == d.Kind && o.Name == d.Name {
				continue
			}
			if slices.ContainsFunc(listensOf(o), func(l string) bool { return collide(listen, l) }) {
				taken = other.what + o.Name
			}
		}
	}
	if taken == "" {
		return nil
	}
	return &resource.Error{
		Code: resource.CodeInvalid, Detail: d.Kind + " " + d.Name + " cannot listen there",
		Fields: []resource.FieldError{{Pointer: pointer, Detail: listen + " is taken by " + taken}},
	}
}

// listensOf are where a load balancer, or a scale set's preview, listens. One that a
// newer Drover wrote and this one cannot read is no reason to refuse all others.
func listensOf(d resource.Document) []string {
	var spec struct {
		Listen        string
		TLS           struct{ RedirectFrom string }
		UpgradePolicy struct {
			BlueGreen struct{ Preview resource.Preview }
		}
	}
	if json.Unmarshal(d.Spec, &spec) != nil {
		return nil
	}
	all := []string{spec.Listen, spec.TLS.RedirectFrom, spec.UpgradePolicy.BlueGreen.Preview.Listen}
	return slices.DeleteFunc(all, func(l string) bool { return l == "" })
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
