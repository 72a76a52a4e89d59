package identity

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

var root = Principal{Name: "root", Role: resource.RoleOwner}

func openStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newTokens(t *testing.T) (*Tokens, *store.Store) {
	s := openStore(t, t.TempDir())
	return NewTokens(s, slog.New(slog.DiscardHandler)), s
}

func TestTokenLife(t *testing.T) {
	tokens, s := newTokens(t)
	spec := resource.TokenSpec{Role: resource.RolePublisher, Scopes: []string{"image/hello", "scaleset/hello"}}
	secret, doc, err := tokens.Create(t.Context(), root, "ci", spec)
	if err != nil {
		t.Fatal(err)
	}
	if !wellFormed(secret) || doc.Status.Hash != "" || doc.Revision == 0 {
		t.Fatalf("secret %q, document %+v", secret, doc)
	}
	stored, err := s.Get(t.Context(), resource.KindToken, "ci")
	if err != nil {
		t.Fatal(err)
	}
	if raw := fmt.Sprintf("%s%s", stored.Spec, stored.Status); strings.Contains(raw, secret) || !strings.Contains(raw, hashOf(secret)) {
		t.Fatalf("at rest: %s", raw)
	}
	if shown := Public(stored); shown.Status != nil {
		t.Fatalf("shown: %s", shown.Status)
	}
	for range 2 { // the second time by the name that was remembered
		p, err := tokens.Authenticate(t.Context(), secret)
		if err != nil || p.Name != "ci" || p.Role != resource.RolePublisher || len(p.Scopes) != 2 {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	if _, _, err := tokens.Create(t.Context(), root, "ci", spec); resource.CodeOf(err) != resource.CodeAlreadyExists {
		t.Fatalf("the same name again: %v", err)
	}
	if err := tokens.Revoke(t.Context(), "ci"); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Authenticate(t.Context(), secret); resource.CodeOf(err) != resource.CodeUnauthenticated {
		t.Fatalf("after the revocation: %v", err)
	}
	again, _, err := tokens.Create(t.Context(), root, "ci", spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Authenticate(t.Context(), secret); resource.CodeOf(err) != resource.CodeUnauthenticated {
		t.Fatalf("the old secret with the new document: %v", err)
	}
	if _, err := tokens.Authenticate(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if err := tokens.Revoke(t.Context(), "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("revoke what isn't: %v", err)
	}
}

func TestCreateIsForOwners(t *testing.T) {
	tokens, _ := newTokens(t)
	past := time.Now().Add(-time.Second)
	for name, c := range map[string]struct {
		by   Principal
		name string
		spec resource.TokenSpec
		code resource.Code
	}{
		"a Contributor":   {Principal{Role: resource.RoleContributor}, "x", resource.TokenSpec{Role: resource.RoleReader}, resource.CodeForbidden},
		"a scoped Owner":  {Principal{Role: resource.RoleOwner, Scopes: []string{"image/*"}}, "x", resource.TokenSpec{Role: resource.RoleReader, Scopes: []string{"image/a"}}, resource.CodeForbidden},
		"nobody":          {Principal{}, "x", resource.TokenSpec{Role: resource.RoleReader}, resource.CodeForbidden},
		"no role":         {root, "x", resource.TokenSpec{}, resource.CodeInvalid},
		"a wrong role":    {root, "x", resource.TokenSpec{Role: "owner"}, resource.CodeInvalid},
		"a wrong name":    {root, "../x", resource.TokenSpec{Role: resource.RoleReader}, resource.CodeInvalid},
		"a wrong scope":   {root, "x", resource.TokenSpec{Role: resource.RoleReader, Scopes: []string{"*"}}, resource.CodeInvalid},
		"a * inside":      {root, "x", resource.TokenSpec{Role: resource.RoleReader, Scopes: []string{"image/*/a"}}, resource.CodeInvalid},
		"an empty scope":  {root, "x", resource.TokenSpec{Role: resource.RoleReader, Scopes: []string{"image/"}}, resource.CodeInvalid},
		"it has expired":  {root, "x", resource.TokenSpec{Role: resource.RoleReader, Expires: &past}, resource.CodeInvalid},
		"longer than own": {Principal{Role: resource.RoleOwner, Expires: new(time.Now().Add(time.Hour))}, "x", resource.TokenSpec{Role: resource.RoleReader}, resource.CodeForbidden},
	} {
		if _, _, err := tokens.Create(t.Context(), c.by, c.name, c.spec); resource.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	tokens, _ := newTokens(t)
	secret, _, err := tokens.Create(t.Context(), root, "ci", resource.TokenSpec{Role: resource.RoleReader})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"", "drv_", "ci", newSecret(), secret[:len(secret)-1], secret + "a", strings.ToUpper(secret), hashOf(secret), "\x00" + secret} {
		if _, err := tokens.Authenticate(t.Context(), s); resource.CodeOf(err) != resource.CodeUnauthenticated {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestTokenExpires(t *testing.T) {
	tokens, s := newTokens(t)
	secret, _, err := tokens.Create(t.Context(), root, "ci", resource.TokenSpec{Role: resource.RoleReader, Expires: new(time.Now().Add(time.Hour))})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		expires time.Time
		want    bool
	}{{time.Now().Add(time.Hour), true}, {time.Now(), false}, {time.Now().Add(-time.Hour), false}} {
		edit := func(tx *store.Tx) error {
			return store.Edit(tx, resource.KindToken, "ci", func(o *resource.Token) error {
				o.Spec.Expires = &c.expires
				return nil
			})
		}
		if _, err := s.Update(t.Context(), edit); err != nil {
			t.Fatal(err)
		}
		if _, err := tokens.Authenticate(t.Context(), secret); (err == nil) != c.want || err != nil && resource.CodeOf(err) != resource.CodeUnauthenticated {
			t.Errorf("expires at %v: %v", c.expires, err)
		}
	}
}

func TestTokensFromManyGoroutines(t *testing.T) {
	tokens, _ := newTokens(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			name := fmt.Sprintf("t%d", i)
			for range 5 {
				secret, _, err := tokens.Create(t.Context(), root, name, resource.TokenSpec{Role: resource.RoleReader})
				if err != nil {
					t.Error(err)
					return
				}
				if p, err := tokens.Authenticate(t.Context(), secret); err != nil || p.Name != name {
					t.Errorf("%s: %+v %v", name, p, err)
				}
				if err := tokens.Revoke(t.Context(), name); err != nil {
					t.Error(err)
				}
				if _, err := tokens.Authenticate(t.Context(), secret); err == nil {
					t.Errorf("%s: a revoked token was let in", name)
				}
			}
		})
	}
	wg.Wait()
}

func TestSecretsAreNeverLogged(t *testing.T) {
	var log bytes.Buffer
	s := openStore(t, t.TempDir())
	tokens := NewTokens(s, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	secret, _, err := tokens.Create(t.Context(), root, "ci", resource.TokenSpec{Role: resource.RoleReader})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Authenticate(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	admin := t.TempDir() + "/admin.token"
	if err := tokens.EnsureAdmin(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	if out := log.String(); strings.Contains(out, "drv_") || strings.Contains(out, hashOf(secret)) {
		t.Fatal(out)
	}
}
