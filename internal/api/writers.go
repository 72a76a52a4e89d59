package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// putFunc is a Writer that is only a function.
type putFunc func(tx *store.Tx, old *resource.Document, d resource.Document, r PutRequest) (PutResult, error)

func (f putFunc) Put(tx *store.Tx, old *resource.Document, d resource.Document, r PutRequest) (PutResult, error) {
	return f(tx, old, d, r)
}

// deleteFunc is a Deleter that is only a function.
type deleteFunc func(ctx context.Context, d resource.Document, r DeleteRequest) (bool, error)

func (f deleteFunc) Delete(ctx context.Context, d resource.Document, r DeleteRequest) (bool, error) {
	return f(ctx, d, r)
}

// putNote is what the reference says about writing that kind.
func putNote(kind string) string {
	switch kind {
	case resource.KindToken:
		return "Always refused: a token is made with POST, which answers its secret."
	case resource.KindImageVersion:
		return "Only of one that exists: pushing an image makes it."
	}
	for _, k := range resource.Kinds {
		if k.Name == kind && k.ReadOnly != "" {
			return "Always refused: " + k.ReadOnly + "."
		}
	}
	return ""
}

// allWriters are the given writers, and simple ones for the other kinds.
func (s *Server) allWriters() map[string]Writer {
	w := map[string]Writer{}
	for _, k := range resource.Kinds {
		w[k.Name] = refusePut(k.Name)
	}
	w[resource.KindImage] = putFunc(putPlain)
	w[resource.KindImageVersion] = putFunc(putVersion)
	w[resource.KindLoadBalancer] = putFunc(s.putBalancer)
	for kind, given := range s.Writers {
		w[kind] = given
	}
	return w
}

func (s *Server) allDeleters() map[string]Deleter {
	d := map[string]Deleter{}
	for _, k := range resource.Kinds {
		d[k.Name] = refuseDelete(k.Name)
	}
	d[resource.KindLoadBalancer] = deleteFunc(s.deletePlain)
	d[resource.KindImage] = deleteFunc(s.deleteImage)
	d[resource.KindToken] = deleteFunc(func(ctx context.Context, t resource.Document, _ DeleteRequest) (bool, error) {
		return true, s.Tokens.Revoke(ctx, t.Name)
	})
	for kind, given := range s.Deleters {
		d[kind] = given
	}
	return d
}

func refusePut(kind string) Writer {
	return putFunc(func(*store.Tx, *resource.Document, resource.Document, PutRequest) (PutResult, error) {
		how := "it is not written by hand"
		if kind == resource.KindToken {
			how = "make one with `drover token create`, which prints its secret"
		}
		return PutResult{}, resource.Errorf(resource.CodeInvalid, "a %s cannot be put: %s", kind, how)
	})
}

func refuseDelete(kind string) Deleter {
	return deleteFunc(func(_ context.Context, d resource.Document, _ DeleteRequest) (bool, error) {
		return false, resource.Errorf(resource.CodeInvalid, "%s %s cannot be deleted: it goes with what made it", kind, d.Name)
	})
}

func putPlain(tx *store.Tx, _ *resource.Document, d resource.Document, _ PutRequest) (PutResult, error) {
	stored, err := tx.Put(d)
	return PutResult{Document: stored}, err
}

// putVersion changes what may be changed of a version: its spec. Its content never changes.
func putVersion(tx *store.Tx, old *resource.Document, d resource.Document, r PutRequest) (PutResult, error) {
	if old == nil {
		return PutResult{}, resource.Errorf(resource.CodeNotFound, "image version %s does not exist: `drover image push` makes it", d.Name)
	}
	return putPlain(tx, old, d, r)
}

// putBalancer refuses what could never listen: two balancers, or one and the
// API, on one address. Whether the port is free on the machine only the gateway
// can tell; that becomes a condition.
func (s *Server) putBalancer(tx *store.Tx, old *resource.Document, d resource.Document, r PutRequest) (PutResult, error) {
	lb, err := resource.From[resource.LoadBalancerSpec, resource.LoadBalancerStatus](d)
	if err != nil {
		return PutResult{}, err
	}
	if err := s.checkListen(tx, lb); err != nil {
		return PutResult{}, err
	}
	result, err := putPlain(tx, old, d, r)
	if err == nil {
		result.Warnings, err = missingBackends(tx, lb)
	}
	return result, err
}

func (s *Server) checkListen(tx *store.Tx, lb resource.LoadBalancer) error {
	taken := ""
	if s.Address != "" && collide(lb.Spec.Listen, s.Address) {
		taken = "Drover's own API"
	}
	others, err := tx.List(resource.KindLoadBalancer, store.ListOptions{})
	if err != nil {
		return err
	}
	for _, d := range others.Items {
		other, err := resource.From[resource.LoadBalancerSpec, resource.LoadBalancerStatus](d)
		if err != nil {
			return err
		}
		if other.Name != lb.Name && collide(lb.Spec.Listen, other.Spec.Listen) {
			taken = "the load balancer " + other.Name
		}
	}
	if taken == "" {
		return nil
	}
	return &resource.Error{
		Code: resource.CodeInvalid, Detail: "LoadBalancer " + lb.Name + " cannot listen there",
		Fields: []resource.FieldError{{Pointer: "/spec/listen", Detail: lb.Spec.Listen + " is taken by " + taken}},
	}
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

type deleteInput struct {
	Name    string `path:"name" doc:"The document's name; a / in it is written %2F."`
	IfMatch string `header:"If-Match" maxLength:"40" doc:"Only at this revision, else 412."`
}

type deleteOutput struct {
	Status int
	Body   resource.Document
}

func (s *Server) routeDelete(k resource.Kind, path string, schema *huma.Schema) {
	op := huma.Operation{
		OperationID: "delete" + k.Name, Method: http.MethodDelete, Path: path, Tags: []string{k.Name},
		Summary:   "Delete one " + k.Name,
		Responses: answers("200", "It is gone; its last content.", schema), Errors: []int{404, 409, 412, 507},
	}
	op.Responses["202"] = &huma.Response{
		Description: "It is on its way out (a set drains first); a watch tells when it is gone.",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: schema}},
	}
	register(s, op, func(ctx context.Context, in *deleteInput) (*deleteOutput, error) {
		return s.delete(ctx, k.Name, in)
	})
}

func (s *Server) delete(ctx context.Context, kind string, in *deleteInput) (*deleteOutput, error) {
	if err := may(ctx, VerbWrite, kind, in.Name); err != nil {
		return nil, err
	}
	m, err := parseMatch(in.IfMatch, "")
	if err != nil {
		return nil, err
	}
	d, err := s.Store.Get(ctx, kind, in.Name)
	if err != nil {
		return nil, err
	}
	if err := m.check(kind, in.Name, &d); err != nil {
		return nil, err
	}
	done, err := s.deleters[kind].Delete(store.Essential(ctx), d, DeleteRequest{Revision: m.revision, By: callOf(ctx).who})
	if err != nil {
		return nil, err
	}
	out := &deleteOutput{Status: http.StatusOK, Body: visible(d)}
	if !done {
		out.Status = http.StatusAccepted
	}
	return out, nil
}

// deletePlain deletes a document that nothing else has to happen for.
func (s *Server) deletePlain(ctx context.Context, d resource.Document, r DeleteRequest) (bool, error) {
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		return tx.Delete(d.Kind, d.Name, ifRevision(r.Revision)...)
	})
	return true, err
}

func ifRevision(n int64) []store.PutOption {
	if n == 0 {
		return nil
	}
	return []store.PutOption{store.IfRevision(n)}
}

// deleteImage only deletes a name that holds no version any more.
func (s *Server) deleteImage(ctx context.Context, d resource.Document, r DeleteRequest) (bool, error) {
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		versions, err := tx.List(resource.KindImageVersion, store.ListOptions{Owner: d.Name, Limit: 1})
		if err != nil {
			return err
		}
		if len(versions.Items) > 0 {
			return resource.Errorf(resource.CodeInUse, "image %s has versions, %s among them: delete those first", d.Name, versions.Items[0].Name)
		}
		return tx.Delete(d.Kind, d.Name, ifRevision(r.Revision)...)
	})
	return true, err
}
