package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"pgregory.net/rapid"
)

// model is the plainest idea of layers: a map from names to what is there.
type model map[string]string // "dir", "->target" or "=content"

func (m model) drop(name string) {
	for n := range m {
		if n == name || strings.HasPrefix(n, name+"/") {
			delete(m, n)
		}
	}
}

// blocked: some parent is there and is no folder.
func (m model) blocked(name string) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if what, ok := m[dir]; ok && what != "dir" {
			return true
		}
	}
	return false
}

func (m model) put(name, what string) {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		m[dir] = "dir"
	}
	if what != "dir" || m[name] != "dir" {
		m.drop(name)
	}
	m[name] = what
}

// apply is one layer in the notation of `of`; false where it must be refused.
func (m model) apply(items []string) bool {
	for _, item := range items {
		if hidden, ok := strings.CutPrefix(item, "-"); ok {
			if m.blocked(hidden) {
				return false
			}
			dir, isOpaque := strings.CutSuffix(hidden, "/*")
			if !isOpaque {
				m.drop(hidden)
			} else if m[dir] == "dir" {
				m.drop(dir)
				m[dir] = "dir"
			}
		}
	}
	for _, item := range items {
		if strings.HasPrefix(item, "-") {
			continue
		}
		if !m.add(item) {
			return false
		}
	}
	return true
}

func (m model) add(item string) bool {
	h := header(item)
	name := strings.TrimSuffix(h.Name, "/")
	if m.blocked(name) {
		return false
	}
	what := "dir"
	if _, content, ok := strings.Cut(item, "="); ok {
		what = "=" + content
	} else if _, target, ok := strings.Cut(item, "->"); ok {
		what = "->" + target
	} else if _, target, ok := strings.Cut(item, "~"); ok {
		if what, ok = m[target]; !ok || what == "dir" || m.blocked(target) {
			return false
		}
	}
	m.put(name, what)
	return true
}

func (m model) list() (items []string) {
	for name, what := range m {
		if what == "dir" {
			what = "/"
		}
		items = append(items, name+what)
	}
	slices.Sort(items)
	return items
}

// Few names, so that layers meet.
var someName = rapid.Custom(func(t *rapid.T) string {
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3).Draw(t, "parts")
	return strings.Join(parts, "/")
})

var someItem = rapid.Custom(func(t *rapid.T) string {
	name := someName.Draw(t, "name")
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		return "-" + name
	case 1:
		return "-" + name + "/*"
	case 2:
		return name + "->" + rapid.SampledFrom([]string{"/", "..", "a", "../../canary"}).Draw(t, "target")
	case 3:
		return name + "~" + someName.Draw(t, "target")
	case 4, 5:
		return name + "/"
	}
	return name + "=" + rapid.StringMatching("[xyz]{0,3}").Draw(t, "content")
})

// Layers laid over each other are what the plainest idea of them says, on disk too.
func TestOverlayAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		layers := rapid.SliceOfN(rapid.SliceOfN(someItem, 0, 8), 1, 4).Draw(rt, "layers")
		want, ok := model{}, true
		var image []layer
		for _, items := range layers {
			image = append(image, of(items...))
			ok = ok && want.apply(items)
		}
		g := newGround(t, Limits{})
		dir, err := g.disk(g.push(ocispec.ImageConfig{}, image...))
		if !ok {
			if !errors.Is(err, ErrRefused) {
				rt.Fatalf("should be refused: %v", err)
			}
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want.list(), list(t, dir)); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// disk makes os/ alone, without what a Prepare syncs.
func (g *ground) disk(image string) (dir string, err error) {
	sp := g.spec("set_1", image)
	dir = filepath.Join(sp.InstanceDir, osName)
	must(g.t, os.MkdirAll(sp.InstanceDir, 0o755))
	a, err := g.assemble(g.t.Context(), sp, false)
	if err != nil {
		return dir, err
	}
	defer a.release()
	return dir, g.build(g.t.Context(), a.tree, dir, sp.GID)
}

// Links are followed as the kernel follows them in a root of its own.
func TestResolveAgainstDisk(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &manifest{}
		for _, item := range rapid.SliceOfN(someItem, 0, 12).Draw(rt, "items") {
			h := header(item)
			if e, ok, err := newEntry(&h); err == nil && ok {
				m.Entries = append(m.Entries, e)
			}
		}
		tree := newTree(1000)
		if tree.apply(m) != nil {
			return
		}
		name := someName.Draw(rt, "name")
		real, n := tree.resolve(name)
		if n == nil {
			return
		}
		if found, err := tree.find(real); err != nil || found != n {
			rt.Fatalf("%s resolves to %q, which is not it", name, real)
		}
		if again, _ := tree.resolve(real); again != real {
			rt.Fatalf("%s resolves to %q, and that to %q", name, real, again)
		}
	})
}

// Whatever bytes a layer is made of, nothing outside the instance's folder changes.
func FuzzUnpack(f *testing.F) {
	seeds := []layer{
		of("a=1", "d/", "d/b=2"), of("../up=x"), of("/abs=x"), of("out->..", "out/canary=x"), of("a=1", "b~a", "-a"),
		of("out->../../../..", "h~out/canary", "out/.wh.canary="), of("-*", "-out/*"), of("d/", "d->..", "d/canary=x"),
	}
	for _, l := range seeds {
		for _, pack := range []packing{plain, gzipped, zstandard} {
			f.Add(pack(l.tar()), pack(of("out->..").tar()))
		}
	}
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		g := newGround(t, Limits{Entries: 200, Bytes: 1 << 16})
		canary := filepath.Join(g.dir, "instances", "set", "canary")
		must(t, os.MkdirAll(filepath.Dir(canary), 0o711))
		must(t, os.WriteFile(canary, []byte("alive"), 0o600))
		_, _ = g.disk(g.pushRaw(lower, upper))
		if b, _ := os.ReadFile(canary); string(b) != "alive" {
			t.Fatal("the canary is dead")
		}
		g.wantNothingOutside(t)
	})
}

// pushRaw makes an image of blobs whose diff ids are true as far as they can be unpacked.
func (g *ground) pushRaw(blobs ...[]byte) string {
	var img ocispec.Image
	var layers []ocispec.Descriptor
	for _, b := range blobs {
		id := digest.FromBytes(nil)
		if r, done, err := decompress(bytes.NewReader(b)); err == nil {
			h := digest.SHA256.Digester()
			_, _ = io.Copy(h.Hash(), &bombGuard{r: r, left: 1 << 24})
			done()
			id = h.Digest()
		}
		img.RootFS.DiffIDs = append(img.RootFS.DiffIDs, id)
		layers = append(layers, ocispec.Descriptor{Digest: digest.FromBytes(b), Size: int64(len(b))})
		g.blobs[digest.FromBytes(b).String()] = b
	}
	d := digest.FromString(fmt.Sprint(img.RootFS.DiffIDs)).String()
	g.images[d], g.gallery.layers[d] = img, layers
	return d
}

// wantNothingOutside walks all of the ground but the cache and os/.
func (g *ground) wantNothingOutside(t *testing.T) {
	var got []string
	must(t, filepath.WalkDir(g.dir, func(name string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(g.dir, name)
		if rel == "cache" || rel == "instances/set/set_1/"+osName {
			return fs.SkipDir
		}
		got = append(got, rel)
		return err
	}))
	want := []string{".", "instances", "instances/set", "instances/set/canary", "instances/set/set_1", "retired"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
