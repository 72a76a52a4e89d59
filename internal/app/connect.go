package app

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/droverhq/drover/internal/acme"
	"github.com/droverhq/drover/internal/api"
	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/fleet"
	"github.com/droverhq/drover/internal/gallery"
	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/gateway/hostfile"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/identity"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// The types here connect the rooms: each makes one room's part the small
// interface that another one declares.

// principal is an authenticated caller, for the API and the gallery.
type principal struct{ identity.Principal }

func (p principal) String() string { return p.Principal.Name }

var verbs = map[api.Verb]identity.Verb{
	api.VerbRead: identity.Read, api.VerbStart: identity.Start,
	api.VerbWrite: identity.Write, api.VerbAdminister: identity.Administer,
}

func (p principal) May(v api.Verb, kind, name, owner string) bool {
	return identity.Allowed(p.Principal, identity.Request{Verb: verbs[v], Kind: kind, Name: name, Owner: owner})
}

func (p principal) MayList(kind string) bool { return identity.MayList(p.Principal, kind) }

type authenticator struct{ tokens *identity.Tokens }

func (a authenticator) Authenticate(ctx context.Context, secret string) (api.Principal, error) {
	p, err := a.tokens.Authenticate(ctx, secret)
	if err != nil {
		return nil, err
	}
	return principal{p}, nil
}

type tokens struct{ *identity.Tokens }

func (t tokens) Create(ctx context.Context, by api.Principal, name string, spec resource.TokenSpec) (string, resource.Token, error) {
	return t.Tokens.Create(ctx, by.(principal).Principal, name, spec)
}

// guard lets the gallery know callers by their secrets.
type guard struct{ tokens *identity.Tokens }

func (g guard) Authenticate(ctx context.Context, secret string) (gallery.Caller, error) {
	p, err := g.tokens.Authenticate(ctx, secret)
	if err != nil {
		return nil, err
	}
	return caller{p}, nil
}

type caller struct{ p identity.Principal }

func (c caller) Name() string { return c.p.Name }

var galleryVerbs = map[gallery.Action]identity.Verb{
	gallery.Pull: identity.Read, gallery.Push: identity.Push, gallery.Delete: identity.Write,
}

func (c caller) May(a gallery.Action, image string) bool {
	return identity.Allowed(c.p, identity.Request{Verb: galleryVerbs[a], Kind: resource.KindImage, Name: image})
}

// probes gives compute what the gateway found.
type probes struct{ gateway *control.Control }

func (p probes) Probe(instance string) (compute.ProbeResult, bool) {
	r, ok := p.gateway.Probe(instance)
	return compute.ProbeResult(r), ok
}

// traffic gives the rollout engine what the gateway confirms.
type traffic struct{ *control.Control }

func (t traffic) Drain(instance string) (fleet.Drain, bool) {
	d, ok := t.Control.Drain(instance)
	return fleet.Drain{InFlightAtStart: d.InFlightAtStart, Ended: d.Ended}, ok
}

func (t traffic) Figures(set string) (fleet.Figures, bool) {
	f, ok := t.Control.Figures(set)
	return fleet.Figures(f), ok
}

func (t traffic) Validation(instance string) (fleet.Validation, bool) {
	v, ok := t.Control.Validation(instance)
	return fleet.Validation(v), ok
}

func (t traffic) Preview(set string) (fleet.Preview, bool) {
	p, ok := t.Control.Preview(set)
	return fleet.Preview(p), ok
}

// ordered says to the gateway where it finds what is ordered for a name.
func (a *App) ordered(directory, name string) wire.Ordered {
	f := acme.FilesOf(a.acmeDir(), directory, name)
	return wire.Ordered{Name: name, CertFile: f.Cert, KeyFile: f.Key, Challenges: f.Challenges}
}

func (a *App) acmeDir() string { return filepath.Join(a.o.Data, dirACME) }

// hostFiles says to the API which files documents may name.
type hostFiles struct{ resource.HostPaths }

func (h hostFiles) Check(path string, made bool) error {
	return hostfile.Check(h.HostPaths, path, made)
}

// figures are the gateway's counters for the API.
type figures struct{ gateway *control.Control }

func (f figures) Counters(set string) (string, map[string]resource.Counters, bool) {
	x, ok := f.gateway.Figures(set)
	return x.Incarnation, x.ByVersion, ok
}

func (f figures) Balancers() (list []api.BalancerTraffic) {
	for _, b := range f.gateway.Balancers() {
		list = append(list, api.BalancerTraffic{
			Name: b.Name, Connections: b.Connections, Queued: b.Queued, Refused: b.Refused, LogDropped: b.LogDropped, Counters: b.Counters,
		})
	}
	return list
}

// fleets starts and steers rollouts for the API.
type fleets struct{ *fleet.Fleet }

func (f fleets) StartRollout(ctx context.Context, set string, r api.RolloutRequest) (resource.Rollout, error) {
	v, err := f.Start(ctx, fleet.StartRequest{Set: set, Image: r.Image, Strategy: r.Strategy, Force: r.Force})
	if err != nil || v.Rollout == nil {
		return resource.Rollout{}, err
	}
	return *v.Rollout, nil
}

// scaleSets holds the rules of writing and deleting scale sets.
type scaleSets struct{ store *store.Store }

func (scaleSets) Put(tx *store.Tx, _ *resource.Document, d resource.Document, r api.PutRequest) (api.PutResult, error) {
	set, err := resource.From[resource.ScaleSetSpec, resource.ScaleSetStatus](d)
	if err != nil {
		return api.PutResult{}, err
	}
	v, err := fleet.Write(tx, set, fleet.WriteOptions{Force: r.Force})
	if err != nil {
		return api.PutResult{}, err
	}
	out := api.PutResult{Warnings: v.Warnings}
	if v.Rollout != nil {
		out.Rollout = v.Rollout.Name
	}
	out.Document, err = v.Set.Document()
	return out, err
}

func (s scaleSets) Delete(ctx context.Context, d resource.Document, r api.DeleteRequest) (bool, error) {
	_, err := s.store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		return fleet.Delete(tx, d.Name, r.Revision)
	})
	if err != nil {
		return false, fmt.Errorf("delete scale set %s: %w", d.Name, err)
	}
	return false, nil
}

// instances deletes single ones.
type instances struct{ fleet *fleet.Fleet }

func (i instances) Delete(ctx context.Context, d resource.Document, r api.DeleteRequest) (bool, error) {
	_, err := i.fleet.Operate(ctx, d.Name, resource.ActionDelete, r.By.String())
	return false, err
}

// images deletes from the gallery.
type images struct {
	delete func(ctx context.Context, name string) error
}

func (i images) Delete(ctx context.Context, d resource.Document, _ api.DeleteRequest) (bool, error) {
	return true, i.delete(ctx, d.Name)
}
