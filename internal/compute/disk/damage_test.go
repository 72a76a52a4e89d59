package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestFlippedByteInABlob(t *testing.T) {
	for name, pack := range map[string]packing{"plain": plain, "gzip": gzipped, "zstd": zstandard} {
		g := newGround(t, Limits{})
		l := of("server*=" + strings.Repeat("machine code ", 100))
		l.pack = pack
		sp := g.spec("set_1", g.push(ocispec.ImageConfig{}, l))
		for d, b := range g.blobs {
			b = slices.Clone(b)
			b[len(b)/2] ^= 1
			g.blobs[d] = b
		}
		if _, err := g.Prepare(t.Context(), sp); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		g.wantNothingLeft(sp)
		if left := list(t, g.layersDir()); len(left) > 0 {
			t.Errorf("%s: cached: %q", name, left)
		}
	}
}

func TestWrongDiffID(t *testing.T) {
	g := newGround(t, Limits{})
	sp := g.spec("set_1", g.push(ocispec.ImageConfig{}, of("a=1")))
	other := g.push(ocispec.ImageConfig{}, of("b=1"))
	img := g.images[sp.Digest]
	img.RootFS.DiffIDs = g.images[other].RootFS.DiffIDs
	g.images[sp.Digest] = img
	if _, err := g.Prepare(t.Context(), sp); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	img.RootFS.DiffIDs = nil
	g.images[sp.Digest] = img
	if _, err := g.Prepare(t.Context(), sp); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
	img.RootFS.DiffIDs = append(img.RootFS.DiffIDs, "sha256:../../../../etc")
	g.images[sp.Digest] = img
	if _, err := g.Prepare(t.Context(), sp); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// Damage to the cache is noticed before the next instance starts from it: after
// a restart as root, at every copy where workloads could have done it.
func TestDamagedCacheIsUnpackedAgain(t *testing.T) {
	damages := map[string]func(t *testing.T, file string){
		"a flipped byte": func(t *testing.T, file string) {
			must(t, os.Chmod(file, 0o644))
			must(t, os.WriteFile(file, []byte("evil"), 0o644))
			must(t, os.Chmod(file, 0o444))
		},
		"a truncated file": func(t *testing.T, file string) {
			must(t, os.Chmod(file, 0o644))
			must(t, os.Truncate(file, 0))
		},
		"a missing file": func(t *testing.T, file string) { must(t, os.Remove(file)) },
		"a link in its place": func(t *testing.T, file string) {
			must(t, os.Remove(file))
			must(t, os.Symlink("/etc/passwd", file))
		},
		"a torn manifest": func(t *testing.T, file string) {
			manifest := filepath.Join(filepath.Dir(filepath.Dir(file)), manifestName)
			must(t, errors.Join(os.Chmod(manifest, 0o600), os.Truncate(manifest, 40)))
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			g := newGround(t, Limits{})
			image := g.push(ocispec.ImageConfig{}, of("a=good"))
			g.prepare(g.spec("set_1", image))
			files, err := filepath.Glob(filepath.Join(g.layersDir(), "*", "000", "0"))
			must(t, err)
			damage(t, files[0])
			if g.o.Root {
				g.reopen(Limits{})
			}
			sp := g.spec("set_2", image)
			g.prepare(sp)
			if diff := cmp.Diff([]string{"a=good"}, list(t, filepath.Join(sp.InstanceDir, osName))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAlteredDiskIsMadeAnew(t *testing.T) {
	g := newGround(t, Limits{})
	if g.o.Root {
		return // no workload can write to it
	}
	sp := g.spec("set_1", g.push(ocispec.ImageConfig{}, of("d/", "d/a=good", "l->d")))
	in := func(name string) string { return filepath.Join(sp.InstanceDir, osName, name) }
	for name, alter := range map[string]func(){
		"a file":    func() { must(t, errors.Join(os.Remove(in("d/a")), os.WriteFile(in("d/a"), []byte("evil"), 0o444))) },
		"a mode":    func() { must(t, os.Chmod(in("d/a"), 0o777)) },
		"a link":    func() { must(t, errors.Join(os.Remove(in("l")), os.Symlink("/", in("l")))) },
		"one more":  func() { must(t, os.WriteFile(in("d/b"), nil, 0o444)) },
		"one less":  func() { must(t, os.Remove(in("d/a"))) },
		"no access": func() { must(t, os.Chmod(in("d"), 0)) },
	} {
		g.prepare(sp)
		alter()
		g.prepare(sp)
		if diff := cmp.Diff([]string{"d/", "d/a=good", "l->d"}, list(t, in(""))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestFullDiskLeavesNothingHalf(t *testing.T) {
	for fail := range 4 {
		g := newGround(t, Limits{})
		sp := g.spec("set_1", g.push(ocispec.ImageConfig{}, of("a=1", "b=2")))
		n := fail
		g.margin = func(string, int64) error {
			if n--; n < 0 {
				return fmt.Errorf("the test's disk: %w", syscall.ENOSPC)
			}
			return nil
		}
		_, err := g.Prepare(t.Context(), sp)
		if g.o.Root && fail >= 2 {
			must(t, err) // the files are shared: no more room is needed
			continue
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v", err)
		}
		g.wantNothingLeft(sp)
		g.margin = margin
		g.prepare(sp) // once there is room again
	}
}
