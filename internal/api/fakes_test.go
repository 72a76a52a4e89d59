package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// caller is a Principal as the tests need it.
type caller struct {
	name   string
	verbs  []Verb
	scopes []string // kind/name prefixes; none: everything
}

func (c caller) String() string { return c.name }

func (c caller) May(v Verb, kind, name, owner string) bool {
	if !slices.Contains(c.verbs, v) {
		return false
	}
	if kind == resource.KindToken && !slices.Contains(c.verbs, VerbAdminister) {
		return false
	}
	if len(c.scopes) == 0 {
		return true
	}
	target := ""
	switch kind {
	case resource.KindScaleSet:
		target = "scaleset/" + name
	case resource.KindInstance, resource.KindRollout:
		target = "scaleset/" + owner
	case resource.KindImage:
		target = "image/" + name
	case resource.KindImageVersion:
		target = "image/" + owner
	}
	return slices.Contains(c.scopes, target)
}

func (c caller) MayList(kind string) bool {
	return slices.Contains(c.verbs, VerbRead) && (kind != resource.KindToken || slices.Contains(c.verbs, VerbAdminister))
}

// callers is an Authenticator whose tokens can end.
type callers struct {
	mu    sync.Mutex
	known map[string]caller
	err   error
}

func newCallers() *callers {
	all := []Verb{VerbRead, VerbStart, VerbWrite, VerbAdminister}
	return &callers{known: map[string]caller{
		ownerToken:  {name: "root", verbs: all},
		readerToken: {name: "ro", verbs: all[:1]},
		scopedToken: {name: "ci", verbs: all[:3], scopes: []string{"scaleset/hello", "image/hello"}},
	}}
}

func (c *callers) Authenticate(_ context.Context, secret string) (Principal, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	if who, ok := c.known[secret]; ok {
		return who, nil
	}
	return nil, resource.Errorf(resource.CodeUnauthenticated, "not known")
}

func (c *callers) revoke(secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, secret)
}

// ports are the subsystems, as far as the API sees them.
type ports struct {
	store *store.Store
	// fail is returned by whatever is asked next.
	fail  error
	ready error
	logs  func(ctx context.Context, tail int, follow bool, w io.Writer) error
	asks  []resource.Ask
	tar   func(io.Writer) error
	after string
	downs int
}

func (p *ports) Create(ctx context.Context, _ Principal, name string, spec resource.TokenSpec) (string, resource.Token, error) {
	t := resource.Token{Meta: resource.Meta{Kind: resource.KindToken, Name: name}, Spec: spec, Status: resource.TokenStatus{Hash: "cafe"}}
	_, err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		t, err = store.PutAs(tx, t, store.IfRevision(0))
		return err
	})
	return "the-secret", t, err
}

func (p *ports) Revoke(ctx context.Context, name string) error {
	_, err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.Delete(resource.KindToken, name) })
	return err
}

func rolloutAt(name string, revision int64) resource.Rollout {
	r := resource.Rollout{Meta: resource.Meta{Kind: resource.KindRollout, Name: name, Revision: revision}}
	r.Spec.Strategy, r.Status.Phase = resource.ModeBlueGreen, resource.RolloutStarting
	return r
}

// runningImage is what every set of these tests runs already.
const runningImage = "hello:1.0.0"

func (p *ports) StartRollout(_ context.Context, set string, r RolloutRequest) (resource.Rollout, error) {
	if r.Image == runningImage {
		return resource.Rollout{}, p.fail
	}
	out := rolloutAt(set+"-1", 7)
	out.Spec.To.Image = r.Image
	return out, p.fail
}

func (p *ports) Ask(_ context.Context, rollout string, ask resource.Ask) (resource.Rollout, error) {
	p.asks = append(p.asks, ask)
	return rolloutAt(rollout, 8), p.fail
}

func (p *ports) Rollback(_ context.Context, rollout, _ string) (resource.Rollout, bool, error) {
	return rolloutAt("hello-10", 9), rollout == "hello-9", p.fail
}

func (p *ports) Operate(ctx context.Context, instance string, action resource.Action, by string) (resource.Instance, error) {
	var out resource.Instance
	_, err := p.store.Update(ctx, func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindInstance, instance, func(i *resource.Instance) error {
			i.Status.Operation = &resource.Operation{Action: action, By: by}
			out = *i
			return p.fail
		})
	})
	return out, err
}

func (p *ports) Scale(ctx context.Context, set string, capacity int) (resource.ScaleSet, error) {
	var out resource.ScaleSet
	_, err := p.store.Update(ctx, func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindScaleSet, set, func(s *resource.ScaleSet) error {
			s.Spec = resource.DefaultScaleSetSpec()
			s.Spec.Capacity = capacity
			out = *s
			return p.fail
		})
	})
	return out, err
}

func (p *ports) Logs(ctx context.Context, _ string, tail int, follow bool, w io.Writer) error {
	mark := w.(interface {
		After() string
		Begins(string)
	})
	p.after = mark.After()
	mark.Begins("life:7")
	if p.logs == nil {
		_, err := io.WriteString(w, "one\ntwo\n")
		return err
	}
	return p.logs(ctx, tail, follow, w)
}

func (p *ports) Ready() error { return p.ready }

func (p *ports) State(context.Context) SystemState {
	return SystemState{Gateway: GatewayState{State: "Running"}, Disk: DiskState{Size: 100}}
}

func (p *ports) Backup(_ context.Context, w io.Writer) error {
	if p.tar == nil {
		_, err := io.WriteString(w, "tar")
		return err
	}
	return p.tar(w)
}

func (p *ports) Down(context.Context) error {
	p.downs++
	return p.fail
}

// setWriter stands for fleet: it writes what it is given, starts a rollout when
// the image changes, and fails when it is told to.
type setWriter struct{ ports *ports }

func (w setWriter) Put(tx *store.Tx, old *resource.Document, d resource.Document, _ PutRequest) (PutResult, error) {
	if w.ports.fail != nil {
		return PutResult{}, w.ports.fail
	}
	stored, err := tx.Put(d)
	r := PutResult{Document: stored}
	if old != nil && !bytes.Equal(old.Spec, stored.Spec) {
		r.Rollout, r.Warnings = d.Name+"-1", []string{"data of 1 instance\nwould be left — behind"}
	}
	return r, err
}

var errBoom = errors.New("boom: the key is hunter2")

const (
	ownerToken  = "owner-secret"
	readerToken = "reader-secret"
	scopedToken = "scoped-secret" // writes, but only what belongs to the set hello
)
