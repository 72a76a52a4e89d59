package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// AdminName is the name of the admin token's document.
const AdminName = "admin"

// Tokens makes, revokes and checks tokens.
type Tokens struct {
	store  *store.Store
	logger *slog.Logger

	mu sync.Mutex
	// names says in which document a hash was last seen. It only points: whether
	// the token still counts is read from the document each time.
	names  map[string]string
	listed int64 // the revision that names was filled at
}

// NewTokens keeps tokens in s.
func NewTokens(s *store.Store, logger *slog.Logger) *Tokens {
	return &Tokens{store: s, logger: logger, listed: -1}
}

// Create makes a token on behalf of a caller and returns its secret, which is
// kept nowhere. The caller must be allowed to write tokens and can give no more
// than it holds.
func (t *Tokens) Create(ctx context.Context, by Principal, name string, spec resource.TokenSpec) (string, resource.Token, error) {
	none := resource.Token{}
	if !Allowed(by, Request{Verb: Write, Kind: resource.KindToken, Name: name}) {
		return "", none, resource.Errorf(resource.CodeForbidden, "%s may not create tokens: that needs the role %s without a scope", by.Name, resource.RoleOwner)
	}
	if err := validate(name, spec, time.Now()); err != nil {
		return "", none, err
	}
	if err := MayGive(by, spec); err != nil {
		return "", none, err
	}
	secret := newSecret()
	token := resource.Token{
		Meta:   resource.Meta{Kind: resource.KindToken, Name: name},
		Spec:   spec,
		Status: resource.TokenStatus{Hash: hashOf(secret)},
	}
	_, err := t.store.Update(ctx, func(tx *store.Tx) (err error) {
		token, err = store.PutAs(tx, token, store.IfRevision(0))
		return err
	})
	if errors.Is(err, store.ErrConflict) {
		return "", none, resource.Errorf(resource.CodeAlreadyExists, "there is a token %s already: revoke it first", name)
	}
	if err != nil {
		return "", none, fmt.Errorf("create token %s: %w", name, err)
	}
	token.Status.Hash = ""
	return secret, token, nil
}

// Revoke deletes a token. From the moment it returns its secret is refused.
func (t *Tokens) Revoke(ctx context.Context, name string) error {
	if name == AdminName {
		return resource.Errorf(resource.CodeConflict,
			"the admin token belongs to the server's data folder: delete its file there and restart the server to get a new one")
	}
	_, err := t.store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		return tx.Delete(resource.KindToken, name)
	})
	if err != nil {
		return fmt.Errorf("revoke token %s: %w", name, err)
	}
	return nil
}

var errUnauthenticated = resource.Errorf(resource.CodeUnauthenticated, "the token is not known, was revoked or has expired")

// Authenticate returns whose secret it is. How long a refusal takes says nothing
// about names or hashes: only a hash of the secret is looked for.
func (t *Tokens) Authenticate(ctx context.Context, secret string) (Principal, error) {
	if !wellFormed(secret) {
		return Principal{}, errUnauthenticated
	}
	hash := hashOf(secret)
	if name, ok := t.known(hash); ok {
		if p, err := t.check(ctx, name, hash); resource.CodeOf(err) != resource.CodeUnauthenticated {
			return p, err
		}
	}
	name, err := t.find(ctx, hash)
	if err != nil {
		return Principal{}, err
	}
	return t.check(ctx, name, hash)
}

func (t *Tokens) known(hash string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	name, ok := t.names[hash]
	return name, ok
}

// find lists the tokens anew, unless nothing at all was written since the last
// time: guessing secrets costs the server no more than a comparison.
func (t *Tokens) find(ctx context.Context, hash string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listed != t.store.Revision() {
		tokens, revision, err := store.ListAs[resource.TokenSpec, resource.TokenStatus](ctx, t.store, resource.KindToken, store.ListOptions{})
		if err != nil {
			return "", fmt.Errorf("list tokens: %w", err)
		}
		t.names = make(map[string]string, len(tokens))
		for _, token := range tokens {
			t.names[token.Status.Hash] = token.Name
		}
		t.listed = revision
	}
	name, ok := t.names[hash]
	if !ok {
		return "", errUnauthenticated
	}
	return name, nil
}

// check decides by the document as it is now.
func (t *Tokens) check(ctx context.Context, name, hash string) (Principal, error) {
	token, err := store.GetAs[resource.TokenSpec, resource.TokenStatus](ctx, t.store, resource.KindToken, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Principal{}, errUnauthenticated
	case err != nil:
		return Principal{}, fmt.Errorf("read token %s: %w", name, err)
	case !sameHash(token.Status.Hash, hash):
		return Principal{}, errUnauthenticated
	case token.Spec.Expires != nil && !time.Now().Before(*token.Spec.Expires):
		return Principal{}, errUnauthenticated
	}
	return Principal{Name: name, Role: token.Spec.Role, Scopes: token.Spec.Scopes, Expires: token.Spec.Expires}, nil
}

// Public is a document as callers may see it: a token without its hash.
func Public(d resource.Document) resource.Document {
	if d.Kind == resource.KindToken {
		d.Status = nil
	}
	return d
}
