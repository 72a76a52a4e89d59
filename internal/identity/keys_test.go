package identity

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysAreKeptTwiceAndRepaired(t *testing.T) {
	sealedOther := sealed([]byte("older"))
	spoil := func(path string, content []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, path), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(paths ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for _, p := range paths {
				if err := os.Remove(filepath.Join(dir, p)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	both := func(a, b func(*testing.T, string)) func(*testing.T, string) {
		return func(t *testing.T, dir string) { a(t, dir); b(t, dir) }
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, string)
		want   string // "first": kept
		log    string
		aside  int
	}{
		"nothing":       {func(*testing.T, string) {}, "first", "", 0},
		"torn":          {spoil("k", []byte("drover-key 1 sha256:12")), "first", "checksum", 0},
		"empty":         {spoil("k", nil), "first", "checksum", 0},
		"flipped":       {spoil("k", bytes.Replace(sealed([]byte("first")), []byte("first"), []byte("firsu"), 1)), "first", "checksum", 0},
		"missing":       {remove("k"), "first", "no such file", 0},
		"copy torn":     {spoil("k.copy", []byte("x")), "first", "checksum", 0},
		"copy missing":  {remove("k.copy"), "first", "no such file", 0},
		"copy older":    {spoil("k.copy", sealedOther), "first", "older", 0},
		"copy is newer": {spoil("k", sealedOther), "older", "older", 0}, // the first is always written first
		"both torn":     {both(spoil("k", []byte("x")), spoil("k.copy", []byte("x"))), "second", "both copies", 2},
		"both missing":  {remove("k", "k.copy"), "second", "", 0},
		"one each":      {both(spoil("k", nil), remove("k.copy")), "second", "both copies", 1},
		"too wide":      {func(t *testing.T, dir string) { chmod(t, filepath.Join(dir, "k"), 0o644) }, "first", "mode 0644", 0},
		"wide folder":   {func(t *testing.T, dir string) { chmod(t, dir, 0o755) }, "first", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			dir := filepath.Join(t.TempDir(), "keys")
			keys := NewKeys(dir, slog.New(slog.NewTextHandler(&log, nil)))
			if got := load(t, keys, "first"); got != "first" {
				t.Fatalf("made %q", got)
			}
			c.damage(t, dir)
			for range 2 { // the second time there must be nothing to say
				log.Reset()
				got := load(t, keys, "second")
				if got != c.want {
					t.Fatalf("got %q, want %q", got, c.want)
				}
				if !strings.Contains(log.String(), c.log) || c.log == "" && log.Len() > 0 {
					t.Fatalf("log %q, want %q", &log, c.log)
				}
				c.log = ""
			}
			checkKeyFiles(t, dir, c.aside)
		})
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, keys *Keys, made string) string {
	t.Helper()
	key, err := keys.LoadOrCreate("k", func() ([]byte, error) { return []byte(made), nil })
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

// checkKeyFiles checks that both copies are there, the same and private.
func checkKeyFiles(t *testing.T, dir string, aside int) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("the folder: %v %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2+aside {
		t.Fatalf("files: %v", entries)
	}
	first, err1 := os.ReadFile(filepath.Join(dir, "k"))
	second, err2 := os.ReadFile(filepath.Join(dir, "k.copy"))
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(first, second) {
		t.Fatalf("the copies differ: %q %q %v", first, second, err)
	}
	for _, name := range []string{"k", "k.copy"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != 0o600 {
			t.Fatalf("%s: %v %v", name, info.Mode(), err)
		}
	}
}

func TestKeysReplace(t *testing.T) {
	keys := NewKeys(filepath.Join(t.TempDir(), "keys"), slog.New(slog.DiscardHandler))
	load(t, keys, "first")
	if err := keys.Replace("k", []byte("line one\nline two\n")); err != nil {
		t.Fatal(err)
	}
	if got := load(t, keys, "second"); got != "line one\nline two\n" {
		t.Fatalf("%q", got)
	}
}

func TestKeyThatCannotBeMade(t *testing.T) {
	keys := NewKeys(filepath.Join(t.TempDir(), "keys"), slog.New(slog.DiscardHandler))
	broken := errors.New("broken")
	if _, err := keys.LoadOrCreate("k", func() ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}
