package hostfile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

// world is a folder given with --host-path, one that was not, and Drover's own.
type world struct{ top, given, other, data string }

func newWorld(t *testing.T) (world, resource.HostPaths) {
	t.Helper()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := world{top, filepath.Join(top, "given"), filepath.Join(top, "other"), filepath.Join(top, "given", "data")}
	for _, dir := range []string{w.given, w.other, w.data, filepath.Join(w.given, "deep")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"given/a", "given/deep/b", "other/a", "given/data/key"} {
		if err := os.WriteFile(filepath.Join(top, file), []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"given/in": "deep/b", "given/deep/up": "../a", "given/out": "../other/a", "given/abs": filepath.Join(w.given, "a"),
		"given/dir": "../other", "given/peek": "data/key", "given/dangling": "deep/none", "given/outside": "../other/none",
		"other/link": "a", "via": "other",
	} {
		if err := os.Symlink(to, filepath.Join(top, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, pipe := range []string{"given/pipe", "other/pipe"} {
		if err := syscall.Mkfifo(filepath.Join(top, pipe), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return w, resource.HostPaths{Data: w.data, Folders: []string{w.given}}
}

func TestRead(t *testing.T) {
	w, h := newWorld(t)
	for _, c := range []struct{ path, want, err string }{
		{"given/a", "given/a", ""},
		{"given/deep/b", "given/deep/b", ""},
		{"given/in", "given/deep/b", ""},
		{"given/deep/up", "given/a", ""},
		{"other/a", "other/a", ""}, // only an Owner may have named it
		{"given/out", "", "leads out of the folder"},
		{"given/dir/a", "", "leads out of the folder"},
		{"given/abs", "", "leads out of the folder"},
		{"given/peek", "", "data folder"},
		{"given/data/key", "", "data folder"},
		{"other/link", "", "is a link"},
		{"via/a", "", "is a link"},
		{"given/none", "", "does not exist"},
		{"none/a", "", "does not exist"},
		{"given/a/b", "", "something else than a folder"},
		{"given/deep", "", "not a regular file"},
		{"other", "", "not a regular file"},
		{"given/pipe", "", "not a regular file"},
		{"other/pipe", "", "not a regular file"},
	} {
		t.Run(c.path, func(t *testing.T) {
			got, err := Read(h, filepath.Join(w.top, c.path), 100)
			check(t, err, c.err)
			if string(got) != c.want {
				t.Errorf("read %q, want %q", got, c.want)
			}
		})
	}
	if _, err := Read(h, filepath.Join(w.given, "a"), 3); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a file over the limit: %v", err)
	}
}

func TestCheckOfAFileThatIsMade(t *testing.T) {
	w, h := newWorld(t)
	for _, c := range []struct{ path, err string }{
		{"given/a", ""},
		{"given/none", ""},
		{"given/deep/none", ""},
		{"other/none", ""},
		{"given/missing/none", "does not exist"},
		{"missing/none", "does not exist"},
		{"given/dir/none", "leads out of the folder"},
		{"given/outside", "leads out of the folder"},
		{"via/none", "is a link"},
		{"given/data/none", "data folder"},
		{"given/deep", "not a regular file"},
		{"given/pipe", "not a regular file"},
		{"given/a/none", "something else than a folder"},
	} {
		t.Run(c.path, func(t *testing.T) { check(t, Check(h, filepath.Join(w.top, c.path), true), c.err) })
	}
	if _, err := os.Stat(filepath.Join(w.given, "none")); err == nil {
		t.Error("a check made a file")
	}
}

// The data folder is known by what it is, not by how its path is written.
func TestTheDataFolderBehindALink(t *testing.T) {
	w, h := newWorld(t)
	h.Data = filepath.Join(w.top, "data-link")
	if err := os.Symlink(w.data, h.Data); err != nil {
		t.Fatal(err)
	}
	_, err := Read(h, filepath.Join(w.data, "key"), 100)
	check(t, err, "data folder")
	h.Folders = nil
	_, err = Read(h, filepath.Join(w.data, "key"), 100)
	check(t, err, "data folder")
}

func check(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("unexpected: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error is %v, want one with %q", err, want)
	}
}
