package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/resource"
)

func TestRemove(t *testing.T) {
	canary := filepath.Join(t.TempDir(), "canary")
	must(t, os.WriteFile(canary, []byte("alive"), 0o600))
	makers := map[string]func(t *testing.T, dir string){
		"nothing there": func(t *testing.T, dir string) {},
		"files and links": func(t *testing.T, dir string) {
			must(t, os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o700))
			must(t, os.WriteFile(filepath.Join(dir, "a/b/c/f"), nil, 0))
			must(t, os.Symlink(filepath.Dir(canary), filepath.Join(dir, "a/out")))
			must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
		},
		"folders without permissions": func(t *testing.T, dir string) {
			must(t, os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o700))
			must(t, os.WriteFile(filepath.Join(dir, "a/b/f"), nil, 0))
			for _, name := range []string{"a/b/c", "a/b", "a"} {
				must(t, os.Chmod(filepath.Join(dir, name), 0))
			}
		},
		"very deep":       func(t *testing.T, dir string) { dig(t, dir, 1500) },
		"very many names": func(t *testing.T, dir string) { fill(t, filepath.Join(dir, "wide"), 2500) },
		"many folders": func(t *testing.T, dir string) {
			for i := range 300 {
				fill(t, filepath.Join(dir, fmt.Sprintf("d%d/%d", i%10, i)), 3)
			}
		},
		"a pipe and a socket": func(t *testing.T, dir string) {
			must(t, os.MkdirAll(dir, 0o700))
			must(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
			must(t, unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o600, 0))
		},
	}
	for name, make := range makers {
		t.Run(name, func(t *testing.T) {
			g := newGround(t, Limits{})
			dir := filepath.Join(g.dir, "instances", "set", "set_1")
			must(t, os.MkdirAll(filepath.Dir(dir), 0o700))
			make(t, dir)
			must(t, g.Remove(t.Context(), dir))
			if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it is still there: %v", err)
			}
			if left := list(t, g.trashDir()); len(left) > 0 {
				t.Errorf("%d entries are in the trash", len(left))
			}
			if b, err := os.ReadFile(canary); string(b) != "alive" {
				t.Errorf("a link was followed: %v", err)
			}
		})
	}
}

// A cache that was cleared behind the store's back costs unpacking again, nothing else.
func TestRemoveWithoutACache(t *testing.T) {
	g := newGround(t, Limits{})
	dir := filepath.Join(g.dir, "instances", "set", "set_1")
	fill(t, dir, 3)
	must(t, os.RemoveAll(g.o.CacheDir))
	must(t, g.Remove(t.Context(), dir))
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// dig makes folders within folders, deeper than any path can be long.
func dig(t *testing.T, dir string, depth int) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	for range depth {
		must(t, unix.Mkdirat(fd, "down", 0o700))
		next, err := unix.Openat(fd, "down", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		unix.Close(fd)
		must(t, err)
		fd = next
	}
	unix.Close(fd)
}

func fill(t *testing.T, dir string, n int) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	for i := range n {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600))
	}
}

func TestInterruptedRemoveIsFinishedBySweep(t *testing.T) {
	g := newGround(t, Limits{})
	dir := filepath.Join(g.dir, "instances", "set", "set_1")
	fill(t, dir, 50)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Remove(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the folder is still in its place")
	}
	must(t, os.Mkdir(filepath.Join(g.workDir(), "other-1"), 0o700)) // another life's
	own := filepath.Join(g.workDir(), g.fresh())
	must(t, os.Mkdir(own, 0o700))
	must(t, g.Sweep(t.Context(), time.Now()))
	if diff := cmp.Diff([]string{filepath.Base(own) + "/ drwx------"}, append(list(t, g.trashDir()), list(t, g.workDir())...)); diff != "" {
		t.Error(diff)
	}
}

func TestRetire(t *testing.T) {
	g := newGround(t, Limits{})
	until := someTime.Add(time.Hour)
	retire := func(set, id string, uid int, files int) bool {
		t.Helper()
		dir := filepath.Join(g.dir, "instances", set, id)
		must(t, os.MkdirAll(filepath.Join(dir, dataName), 0o700))
		if files > 0 {
			fill(t, filepath.Join(dir, dataName), files)
		}
		kept, err := g.Retire(t.Context(), dir, Retired{Instance: id, Set: set, UID: uid, Until: until})
		must(t, err)
		return kept
	}
	if retire("set", "set_1", 7, 0) {
		t.Error("an empty data folder was kept")
	}
	if !retire("set", "set_2", 7, 1) || !retire("set", "set_2", 8, 2) || !retire("other", "other_1", 9, 1) {
		t.Error("a data folder was not kept")
	}
	g.reopen(Limits{})
	got, err := g.ListRetired()
	must(t, err)
	want := []Retired{
		{"other_1", "other", 9, until.UTC(), filepath.Join(g.o.RetiredDir, "other_1")},
		{"set_2", "set", 8, until.UTC(), filepath.Join(g.o.RetiredDir, "set_2.1")},
		{"set_2", "set", 7, until.UTC(), filepath.Join(g.o.RetiredDir, "set_2")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	must(t, g.Sweep(t.Context(), until.Add(-time.Second)))
	if got := len(list(t, g.o.RetiredDir)); got != 10 {
		t.Errorf("%d entries before the deadline", got)
	}
	must(t, g.Discard(t.Context(), "other"))
	if got := list(t, g.o.RetiredDir); strings.Contains(strings.Join(got, " "), "other") {
		t.Errorf("after the set was deleted: %q", got)
	}
	must(t, g.Sweep(t.Context(), until))
	if got := append(list(t, g.o.RetiredDir), list(t, g.trashDir())...); len(got) > 0 {
		t.Errorf("after the deadline: %q", got)
	}
}

func TestDamagedRecordKeepsItsFolder(t *testing.T) {
	g := newGround(t, Limits{})
	must(t, os.Mkdir(filepath.Join(g.o.RetiredDir, "set_1"), 0o700))
	must(t, os.WriteFile(filepath.Join(g.o.RetiredDir, "set_1.json"), []byte(`{"inst`), 0o600))
	must(t, os.WriteFile(filepath.Join(g.o.RetiredDir, "set_2.json"), []byte(`{"instance":"set_2","set":"set","until":"2001-01-01T00:00:00Z"}`), 0o600))
	if err := g.Sweep(t.Context(), time.Now()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	want := []string{"set_1.json={\"inst -rw-------", "set_1/ drwx------"}
	if diff := cmp.Diff(want, list(t, g.o.RetiredDir)); diff != "" {
		t.Error(diff)
	}
}

func TestCollect(t *testing.T) {
	g := newGround(t, Limits{})
	shared, old, new := of("shared=1"), of("old=1"), of("new=1")
	one, two := g.push(ocispec.ImageConfig{}, shared, old), g.push(ocispec.ImageConfig{}, shared, new)
	g.prepare(g.spec("set_1", one))
	g.prepare(g.spec("set_2", two))
	cachedLayers := func() int {
		entries, err := os.ReadDir(g.layersDir())
		must(t, err)
		return len(entries)
	}
	must(t, g.Collect(t.Context(), []string{one, two, "sha256:unknown"}))
	if n := cachedLayers(); n != 3 {
		t.Errorf("%d layers while all are used", n)
	}
	must(t, g.Collect(t.Context(), []string{two}))
	if n := cachedLayers(); n != 2 {
		t.Errorf("%d layers when one image is gone", n)
	}
	g.prepare(g.spec("set_3", one))
	must(t, g.Collect(t.Context(), nil))
	if n := cachedLayers(); n != 0 {
		t.Errorf("%d layers when all are gone", n)
	}
	if left := list(t, g.trashDir()); len(left) > 0 {
		t.Errorf("left in the trash: %q", left)
	}
	for _, id := range []string{"set_1", "set_2", "set_3"} {
		if got := list(t, filepath.Join(g.dir, "instances/set", id, osName)); len(got) != 2 {
			t.Errorf("%s lost its disk: %q", id, got)
		}
	}
}

func TestCollectNeverRacesPrepare(t *testing.T) {
	g := newGround(t, Limits{})
	image := g.push(ocispec.ImageConfig{}, of(numbered(0, 50)...), of(numbered(50, 100)...))
	stop := make(chan struct{})
	var wg, collector sync.WaitGroup
	collector.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := g.Collect(t.Context(), nil); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := range 4 {
		wg.Go(func() {
			for j := range 10 {
				if _, err := g.Prepare(t.Context(), g.spec(resource.InstanceName("set", 10*i+j), image)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	collector.Wait()
	for i := range 40 {
		if got := len(list(t, filepath.Join(g.dir, "instances/set", resource.InstanceName("set", i), osName))); got != 100 {
			t.Errorf("instance %d has %d files", i, got)
		}
	}
}
