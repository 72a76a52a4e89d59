package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/resource"
)

func TestLayersComeToOneDisk(t *testing.T) {
	tests := []struct {
		name   string
		layers []layer
		want   []string
	}{
		{"nothing", nil, nil},
		{"readable and executable by all", []layer{of("srv/", "srv/app*=x", "srv/data=y", "deep/er/implied=z")},
			[]string{"deep/", "deep/er/", "deep/er/implied=z", "srv/", "srv/app*=x", "srv/data=y"}},
		{"names are cleaned", []layer{of("./", "./a/", "./a//b=1", "a/./c=2")}, []string{"a/", "a/b=1", "a/c=2"}},
		{"links are stored as they are", []layer{of("a->/etc/passwd", "b->../../..", "c->c")}, []string{"a->/etc/passwd", "b->../../..", "c->c"}},
		{"the upper file wins", []layer{of("a=1"), of("a=2")}, []string{"a=2"}},
		{"the later entry wins", []layer{of("a=1", "a*=2")}, []string{"a*=2"}},
		{"a folder twice keeps its files", []layer{of("d/", "d/a=1"), of("d/", "d/b=2")}, []string{"d/", "d/a=1", "d/b=2"}},
		{"a folder gives way to a link", []layer{of("d/", "d/a=1"), of("d->elsewhere")}, []string{"d->elsewhere"}},
		{"a folder gives way to a file", []layer{of("d/", "d/a=1"), of("d=1")}, []string{"d=1"}},
		{"a link gives way to a folder", []layer{of("d->elsewhere"), of("d/", "d/a=1")}, []string{"d/", "d/a=1"}},
		{"whiteout", []layer{of("a=1", "d/", "d/b=2"), of("-a", "-d")}, nil},
		{"whiteout of nothing", []layer{of("a=1"), of("-b", "-no/such")}, []string{"a=1"}},
		{"whiteouts are about lower layers", []layer{of("a=1"), of("a=2", "-a")}, []string{"a=2"}},
		{"opaque", []layer{of("d/", "d/a=1", "d/e/", "d/e/f=2"), of("d/", "d/new=3", "-d/*")}, []string{"d/", "d/new=3"}},
		{"opaque root", []layer{of("a=1"), of("-*", "b=2")}, []string{"b=2"}},
		{"opaque what is no folder", []layer{of("a=1"), of("-no/*")}, []string{"a=1"}},
		{"hidden and made again", []layer{of("d/", "d/a=1"), of("-d"), of("d/", "d/b=2")}, []string{"d/", "d/b=2"}},
		{"aufs metadata means nothing", []layer{of("a=1", ".wh..wh.plnk/", ".wh..wh.aufs=x")}, []string{"a=1"}},
		{"hard links", []layer{of("a*=1", "b~a", "c~./b")}, []string{"a*=1", "b*=1", "c*=1"}},
		{"a hard link to a link", []layer{of("a->x", "b~a")}, []string{"a->x", "b->x"}},
		{"a hard link to a lower layer", []layer{of("a=1"), of("b~a")}, []string{"a=1", "b=1"}},
		{"names that are not UTF-8", []layer{of("a\xff=1")}, []string{"a\xff=1"}},
		{"spaces, stars and newlines", []layer{of("a *[?\n=1")}, []string{"a *[?\n=1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newGround(t, Limits{})
			sp := g.spec("set_1", g.push(ocispec.ImageConfig{}, tt.layers...))
			g.prepare(sp)
			if diff := cmp.Diff(tt.want, list(t, filepath.Join(sp.InstanceDir, osName))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPackings(t *testing.T) {
	for name, pack := range map[string]packing{"plain": plain, "gzip": gzipped, "zstd": zstandard} {
		g := newGround(t, Limits{})
		l := of("a=" + strings.Repeat("content", 1000))
		l.pack = pack
		sp := g.spec("set_1", g.push(ocispec.ImageConfig{}, l))
		g.prepare(sp)
		if got := list(t, filepath.Join(sp.InstanceDir, osName)); len(got) != 1 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestFolderModesAndOwners(t *testing.T) {
	old := syscall.Umask(0o077) // whatever Drover was started with
	defer syscall.Umask(old)
	g := newGround(t, Limits{})
	sp := g.spec("set_1", g.push(ocispec.ImageConfig{}, of("a/", "a/b=1")))
	g.prepare(sp)
	uid, gid := os.Getuid(), os.Getgid()
	for name, want := range map[string]struct {
		mode     fs.FileMode
		uid, gid int
	}{
		"..":     {0o711, uid, gid},
		".":      {0o750, uid, sp.GID},
		"os":     {0o750, uid, sp.GID},
		"os/a":   {0o755, uid, gid},
		"os/a/b": {0o444, uid, gid},
		"data":   {0o700, sp.UID, sp.GID},
		"tmp":    {0o700, sp.UID, sp.GID},
	} {
		info, err := os.Lstat(filepath.Join(sp.InstanceDir, name))
		must(t, err)
		if info.Mode().Perm() != want.mode {
			t.Errorf("%s has mode %s, want %s", name, info.Mode().Perm(), want.mode)
		}
		st := info.Sys().(*syscall.Stat_t)
		if g.o.Root && (int(st.Uid) != want.uid || int(st.Gid) != want.gid) {
			t.Errorf("%s belongs to %d:%d, want %d:%d", name, st.Uid, st.Gid, want.uid, want.gid)
		}
	}
	info, err := os.Lstat(filepath.Join(sp.InstanceDir, "os/a/b"))
	must(t, err)
	if !info.ModTime().Equal(someTime) {
		t.Errorf("modified %s, want %s", info.ModTime(), someTime)
	}
}

func TestWhatTheProcessGets(t *testing.T) {
	debian := of("usr/bin/", "usr/bin/sh*=", "bin->usr/bin", "srv/", "work->srv")
	tests := []struct {
		name   string
		config ocispec.ImageConfig
		layer  layer
		root   string
		want   Disk
	}{
		{"a bare program", ocispec.ImageConfig{Entrypoint: []string{"./server"}, Cmd: []string{"-v"}, Env: []string{"A=1"}}, of("server*="), "",
			Disk{Root: "host", Entrypoint: []string{"./server"}, Cmd: []string{"-v"}, Env: []string{"A=1"}}},
		{"a shell behind a link", ocispec.ImageConfig{WorkingDir: "/srv"}, debian, "", Disk{Root: "image", WorkDir: "srv"}},
		{"an os-release that leads nowhere", ocispec.ImageConfig{}, of("etc/", "etc/os-release->../usr/lib/os-release"), "", Disk{Root: "image"}},
		{"told otherwise", ocispec.ImageConfig{}, debian, "host", Disk{Root: "host"}},
		{"a working directory behind a link", ocispec.ImageConfig{WorkingDir: "/work/"}, debian, "host", Disk{Root: "host", WorkDir: "srv"}},
		{"a working directory to be made", ocispec.ImageConfig{WorkingDir: "new/one"}, debian, "host", Disk{Root: "host", WorkDir: "new/one"}},
		{"ignored fields", ocispec.ImageConfig{User: "app", Volumes: map[string]struct{}{"/v": {}}, ExposedPorts: map[string]struct{}{"80/tcp": {}}}, of("a="), "",
			Disk{Root: "host", Ignored: []string{"User", "Volumes", "ExposedPorts"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newGround(t, Limits{})
			sp := g.spec("set_1", g.push(tt.config, tt.layer))
			sp.Root, tt.want.Digest = tt.root, sp.Digest
			for range 2 { // made, and found again
				if diff := cmp.Diff(tt.want, g.prepare(sp)); diff != "" {
					t.Error(diff)
				}
			}
			if info, err := os.Lstat(filepath.Join(sp.InstanceDir, osName, tt.want.WorkDir)); err != nil || !info.IsDir() {
				t.Errorf("the working directory: %v, %v", info, err)
			}
		})
	}
}

func TestBadWorkingDirectories(t *testing.T) {
	for _, dir := range []string{"../up", "/file", "/out/x", strings.Repeat("x", 300)} {
		g := newGround(t, Limits{})
		sp := g.spec("set_1", g.push(ocispec.ImageConfig{WorkingDir: dir}, of("file=", "out->missing")))
		if _, err := g.Prepare(t.Context(), sp); !errors.Is(err, ErrRefused) {
			t.Errorf("WorkingDir %.20q: %v", dir, err)
		}
		g.wantNothingLeft(sp)
	}
}

func TestReimageReplacesTheDiskAndKeepsTheData(t *testing.T) {
	g := newGround(t, Limits{})
	one, two := g.push(ocispec.ImageConfig{}, of("a=1")), g.push(ocispec.ImageConfig{}, of("b=2"))
	sp := g.spec("set_1", one)
	g.prepare(sp)
	must(t, os.WriteFile(filepath.Join(sp.InstanceDir, dataName, "kept"), []byte("kept"), 0o600))
	inode := func() uint64 {
		info, err := os.Lstat(filepath.Join(sp.InstanceDir, osName))
		must(t, err)
		return info.Sys().(*syscall.Stat_t).Ino
	}
	first := inode()
	g.prepare(sp)
	if inode() != first {
		t.Error("the disk was made anew without need")
	}
	sp.Replace = true
	g.prepare(sp)
	if inode() == first {
		t.Error("the disk was not replaced")
	}
	sp.Replace, sp.Digest = false, two
	g.prepare(sp)
	if diff := cmp.Diff([]string{"b=2"}, list(t, filepath.Join(sp.InstanceDir, osName))); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(filepath.Join(sp.InstanceDir, dataName, "kept")); string(b) != "kept" {
		t.Errorf("the data: %q, %v", b, err)
	}
	if left := list(t, g.trashDir()); len(left) > 0 {
		t.Errorf("left in the trash: %q", left)
	}
}

func TestInterruptedPrepareIsMadeGood(t *testing.T) {
	g := newGround(t, Limits{})
	sp := g.spec("set_1", g.push(ocispec.ImageConfig{}, of("a=1")))
	part := filepath.Join(sp.InstanceDir, partPrefix+"half")
	for name, crash := range map[string]func(){
		"while building":             func() { must(t, os.MkdirAll(filepath.Join(part, "x"), 0o755)) },
		"before the exchange":        func() { must(t, os.Remove(filepath.Join(sp.InstanceDir, markerName))) },
		"between two renames":        func() { must(t, os.Rename(filepath.Join(sp.InstanceDir, osName), part)) },
		"a torn marker":              func() { must(t, os.WriteFile(filepath.Join(sp.InstanceDir, markerName), []byte("{"), 0o600)) },
		"a marker from another boot": func() { must(t, marker{Boot: "other", Disk: Disk{Digest: sp.Digest}}.write(sp.InstanceDir, part)) },
	} {
		t.Run(name, func(t *testing.T) {
			g.prepare(sp)
			crash()
			g.prepare(sp)
			want := []string{"data/ drwx------", "os.json=", "os/ drwxr-x---", "os/a=1", "tmp/ drwx------"}
			got := list(t, sp.InstanceDir)
			for i := range got {
				if strings.HasPrefix(got[i], markerName) {
					got[i] = "os.json="
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestManyAtOnceUnpackOnce(t *testing.T) {
	g := newGround(t, Limits{})
	image := g.push(ocispec.ImageConfig{}, of(numbered(0, 200)...), of(numbered(100, 300)...))
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if _, err := g.Prepare(t.Context(), g.spec(resource.InstanceName("set", i), image)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for d, n := range g.opened {
		if n != 1 {
			t.Errorf("blob %s was read %d times", d, n)
		}
	}
}

func TestCancelledPrepareLeavesNothingHalf(t *testing.T) {
	g := newGround(t, Limits{})
	sp := g.spec("set_1", g.push(ocispec.ImageConfig{}, of(numbered(0, 50)...)))
	for steps := range 100 {
		ctx := &countdown{Context: t.Context(), left: steps}
		if _, err := g.Prepare(ctx, sp); err == nil {
			t.Logf("whole after %d looks at the context", steps)
			return
		}
		g.wantNothingLeft(sp)
	}
}

// countdown is cancelled after it has been asked a number of times.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// The tenth instance costs almost nothing: as root its files are the cache's.
func TestInstancesShareFiles(t *testing.T) {
	g := newGround(t, Limits{})
	image := g.push(ocispec.ImageConfig{}, of("a=1"))
	var inodes []uint64
	for i := range 2 {
		sp := g.spec(resource.InstanceName("set", i), image)
		g.prepare(sp)
		info, err := os.Lstat(filepath.Join(sp.InstanceDir, osName, "a"))
		must(t, err)
		inodes = append(inodes, info.Sys().(*syscall.Stat_t).Ino)
	}
	if same := inodes[0] == inodes[1]; same != g.o.Root {
		t.Errorf("shared: %v", same)
	}
}

// Not a test of time: it reports what 50 instances of an image of 500 files cost.
func TestFiftyInstances(t *testing.T) {
	g := newGround(t, Limits{})
	var items []string
	for i := range 500 {
		items = append(items, fmt.Sprintf("d%d/f%d=%s", i%50, i, strings.Repeat("x", 4000)))
	}
	image := g.push(ocispec.ImageConfig{}, of(items...))
	var took []time.Duration
	for i := range 50 {
		begin := time.Now()
		g.prepare(g.spec(resource.InstanceName("set", i), image))
		took = append(took, time.Since(begin))
	}
	t.Logf("first %s, 2nd to 5th %s, 46th to 50th %s", took[0], slices.Max(took[1:5]), slices.Max(took[45:]))
}
