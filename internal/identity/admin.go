package identity

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// EnsureAdmin makes sure that the file at path holds the admin token, an Owner's,
// for its owner's eyes only. A file that cannot be trusted, for whatever reason,
// gets a new token; the old one stops working and the log says why.
func (t *Tokens) EnsureAdmin(ctx context.Context, path string) error {
	why, err := t.distrust(ctx, path)
	if why == "" || err != nil {
		return err
	}
	secret := newSecret()
	// The store first: what made the file untrustworthy may be that somebody else
	// has read it. A crash before the file is written shows as a mismatch at the next start.
	known, err := t.putAdmin(ctx, hashOf(secret))
	if err != nil {
		return fmt.Errorf("store the admin token: %w", err)
	}
	if err := writeSecret(path, []byte(secret+"\n")); err != nil {
		return fmt.Errorf("write the admin token to %s: %w", path, err)
	}
	level, text := slog.LevelInfo, "made the admin token"
	if known {
		level, text = slog.LevelWarn, "made a new admin token, the old one no longer works"
	}
	t.logger.Log(ctx, level, text, "file", path, "reason", "the file "+why)
	return nil
}

// distrust says why the file does not do, or nothing: it does.
func (t *Tokens) distrust(ctx context.Context, path string) (string, error) {
	content, info, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "is missing", nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return "cannot be read by this user", nil
	}
	if err == nil {
		err = private(info)
	}
	if untrusted, ok := errors.AsType[errUntrusted](err); ok {
		return untrusted.reason, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the admin token: %w", err)
	}
	secret := strings.TrimSuffix(string(content), "\n")
	switch {
	case len(content) == 0:
		return "is empty", nil
	case !wellFormed(secret):
		return "is torn or holds something else", nil
	}
	p, err := t.Authenticate(ctx, secret)
	switch {
	case resource.IsCode(err, resource.CodeUnauthenticated):
		return "holds a token that the store does not know", nil
	case err != nil:
		return "", fmt.Errorf("check the admin token: %w", err)
	case p.Name != AdminName || p.Role != resource.RoleOwner || len(p.Scopes) > 0:
		return "holds another token than the admin's", nil
	}
	return "", nil
}

// putAdmin stores the hash of the admin's secret and reports whether there was one before.
func (t *Tokens) putAdmin(ctx context.Context, hash string) (known bool, err error) {
	admin := resource.Token{
		Meta:   resource.Meta{Kind: resource.KindToken, Name: AdminName},
		Spec:   resource.TokenSpec{Role: resource.RoleOwner},
		Status: resource.TokenStatus{Hash: hash},
	}
	// A server that cannot be commanded helps nobody, least of all on a full disk.
	_, err = t.store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		_, err := tx.Get(resource.KindToken, AdminName)
		known = err == nil
		_, err = store.PutAs(tx, admin)
		return err
	})
	return known, err
}
