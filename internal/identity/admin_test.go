package identity

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

func readAdmin(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Fatalf("%s has mode %v", path, info.Mode())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(content), "\n")
}

func TestAdminTokenIsMadeOnceAndRewrittenWhenItCannotBeTrusted(t *testing.T) {
	type file struct {
		path string
		t    *testing.T
		s    *store.Store
	}
	write := func(content string) func(file) {
		return func(f file) {
			if err := os.WriteFile(f.path, []byte(content), 0o600); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	check := func(f file, err error) {
		if err != nil {
			f.t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		damage func(file)
		reason string // of the rewriting; empty: left alone
	}{
		"good":        {func(file) {}, ""},
		"missing":     {func(f file) { check(f, os.Remove(f.path)) }, "is missing"},
		"empty":       {write(""), "is empty"},
		"torn":        {write("drv_abcdef"), "is torn"},
		"other":       {write("hello\n"), "is torn or holds something else"},
		"too long":    {write(strings.Repeat("a", 1<<20)), "is torn"},
		"unknown":     {write(newSecret() + "\n"), "does not know"},
		"readable":    {func(f file) { check(f, os.Chmod(f.path, 0o644)) }, "has mode 0644"},
		"group":       {func(f file) { check(f, os.Chmod(f.path, 0o620)) }, "has mode 0620"},
		"link":        {func(f file) { check(f, os.Rename(f.path, f.path+"2")); check(f, os.Symlink(f.path+"2", f.path)) }, "symbolic link"},
		"pipe":        {func(f file) { check(f, os.Remove(f.path)); check(f, syscall.Mkfifo(f.path, 0o600)) }, "not a regular file"},
		"left-over":   {func(f file) { check(f, os.Remove(f.path)); check(f, os.WriteFile(f.path+".tmp", nil, 0o644)) }, "is missing"},
		"not admin's": {func(f file) { write(mint(f.t, f.s) + "\n")(f) }, "another token"},
		"document gone": {func(f file) {
			_, err := f.s.Update(f.t.Context(), func(tx *store.Tx) error { return tx.Delete(resource.KindToken, AdminName) })
			check(f, err)
		}, "does not know"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := openStore(t, t.TempDir())
			logger := slog.New(slog.NewTextHandler(&log, nil))
			path := filepath.Join(t.TempDir(), "admin.token")
			tokens := NewTokens(s, logger)
			if err := tokens.EnsureAdmin(t.Context(), path); err != nil {
				t.Fatal(err)
			}
			first := readAdmin(t, path)
			log.Reset()
			c.damage(file{path, t, s})
			tokens = NewTokens(s, logger)
			if err := tokens.EnsureAdmin(t.Context(), path); err != nil {
				t.Fatal(err)
			}
			second := readAdmin(t, path)
			p, err := tokens.Authenticate(t.Context(), second)
			if err != nil || p.Name != AdminName || p.Role != resource.RoleOwner {
				t.Fatalf("%+v, %v", p, err)
			}
			_, err = tokens.Authenticate(t.Context(), first)
			if rewritten := err != nil; rewritten != (c.reason != "") {
				t.Fatalf("rewritten: %v (%v)", rewritten, err)
			}
			if c.reason != "" && !strings.Contains(log.String(), c.reason) || strings.Contains(log.String(), "drv_") {
				t.Fatalf("log: %s", &log)
			}
		})
	}
}

func mint(t *testing.T, s *store.Store) string {
	t.Helper()
	secret, _, err := NewTokens(s, slog.New(slog.DiscardHandler)).Create(t.Context(), root, "other", resource.TokenSpec{Role: resource.RoleOwner})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestAdminTokenCannotBeRevoked(t *testing.T) {
	tokens, _ := newTokens(t)
	if err := tokens.Revoke(t.Context(), AdminName); resource.CodeOf(err) != resource.CodeConflict {
		t.Fatal(err)
	}
}

func TestAdminTokenSaysWhatItCouldNotDo(t *testing.T) {
	tokens, _ := newTokens(t)
	path := filepath.Join(t.TempDir(), "missing", "admin.token")
	if err := tokens.EnsureAdmin(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatal(err)
	}
}
