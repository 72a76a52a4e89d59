package disk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/resource"
)

// gallery is a set of images in memory.
type gallery struct {
	mu     sync.Mutex
	images map[string]ocispec.Image
	layers map[string][]ocispec.Descriptor
	blobs  map[string][]byte
	opened map[string]int
}

func newGallery() *gallery {
	return &gallery{images: map[string]ocispec.Image{}, layers: map[string][]ocispec.Descriptor{}, blobs: map[string][]byte{}, opened: map[string]int{}}
}

func (g *gallery) Config(_ context.Context, d string) (ocispec.Image, []ocispec.Descriptor, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.images[d]; !ok {
		return ocispec.Image{}, nil, resource.Errorf(resource.CodeImageNotFound, "no image %s", d)
	}
	return g.images[d], g.layers[d], nil
}

func (g *gallery) Layer(_ context.Context, d string) (io.ReadCloser, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b, ok := g.blobs[d]
	if !ok {
		return nil, fmt.Errorf("no blob %s", d)
	}
	g.opened[d]++
	return io.NopCloser(bytes.NewReader(b)), nil
}

// packing is how a layer's tar becomes a blob.
type packing func([]byte) []byte

func plain(b []byte) []byte { return b }

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zstandard(b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(b, nil)
}

// push makes an image of these layers and returns its digest.
func (g *gallery) push(config ocispec.ImageConfig, layers ...layer) string {
	var img ocispec.Image
	img.Config = config
	img.RootFS.Type = "layers"
	var blobs []ocispec.Descriptor
	for _, l := range layers {
		raw := l.tar()
		pack := l.pack
		if pack == nil {
			pack = gzipped
		}
		blob := pack(raw)
		d := digest.FromBytes(blob)
		img.RootFS.DiffIDs = append(img.RootFS.DiffIDs, digest.FromBytes(raw))
		blobs = append(blobs, ocispec.Descriptor{Digest: d, Size: int64(len(blob))})
		g.blobs[d.String()] = blob
	}
	d := digest.FromString(fmt.Sprint(config, img.RootFS.DiffIDs)).String()
	g.images[d], g.layers[d] = img, blobs
	return d
}

// layer is a tar to be. Bytes of its own stand in for the entries.
type layer struct {
	entries []tar.Header
	body    map[string]string
	raw     []byte
	pack    packing
}

var someTime = time.Unix(1_600_000_000, 0)

func (l layer) tar() []byte {
	if l.raw != nil {
		return l.raw
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range l.entries {
		body := l.body[h.Name]
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(body))
		}
		h.ModTime = someTime
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if h.Typeflag == tar.TypeReg {
			io.WriteString(w, body)
		}
	}
	w.Close()
	return b.Bytes()
}

// of makes a layer: "dir/", "file=content", "file*=content" (executable),
// "link->target", "file~target" (hard link). "-name" hides a name of lower
// layers, "-name/*" all that is in it.
func of(items ...string) layer {
	l := layer{body: map[string]string{}}
	for _, item := range items {
		h := header(item)
		if h.Typeflag == tar.TypeReg {
			_, l.body[h.Name], _ = strings.Cut(item, "=")
		}
		l.entries = append(l.entries, h)
	}
	return l
}

func header(item string) tar.Header {
	if name, target, ok := strings.Cut(item, "->"); ok {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}
	}
	if name, target, ok := strings.Cut(item, "~"); ok {
		return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}
	}
	if name, _, ok := strings.Cut(item, "*="); ok {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o700}
	}
	if name, _, ok := strings.Cut(item, "="); ok {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o600}
	}
	if hidden, ok := strings.CutPrefix(item, "-"); ok {
		dir, base := filepath.Split(hidden)
		if base == "*" {
			return tar.Header{Name: dir + opaque, Typeflag: tar.TypeReg}
		}
		return tar.Header{Name: dir + whiteout + base, Typeflag: tar.TypeReg}
	}
	return tar.Header{Name: item, Typeflag: tar.TypeDir, Mode: 0o700}
}

// ground is a data folder with a store.
type ground struct {
	*gallery
	*Store
	dir string
	t   testing.TB
}

func newGround(t testing.TB, limits Limits) *ground {
	t.Helper()
	g := &ground{gallery: newGallery(), dir: t.TempDir(), t: t}
	g.reopen(limits)
	return g
}

// reopen is a restart of Drover.
func (g *ground) reopen(limits Limits) {
	s, err := New(Options{
		CacheDir: filepath.Join(g.dir, "cache"), RetiredDir: filepath.Join(g.dir, "retired"),
		Images: g.gallery, Root: os.Geteuid() == 0, Limits: limits,
	})
	must(g.t, err)
	g.Store = s
}

func (g *ground) spec(instance, image string) Spec {
	sp := Spec{Digest: image, InstanceDir: filepath.Join(g.dir, "instances", "set", instance), Root: resource.RootHost}
	if g.o.Root {
		sp.UID, sp.GID = 2_000_001, 2_000_001
	}
	return sp
}

func (g *ground) prepare(sp Spec) Disk {
	g.t.Helper()
	d, err := g.Prepare(g.t.Context(), sp)
	must(g.t, err)
	return d
}

// list describes what is below dir, sorted: the same notation as of, with the mode of what is not the usual.
func list(t testing.TB, dir string) []string {
	t.Helper()
	var items []string
	must(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		item, err := describe(path)
		items = append(items, strings.TrimPrefix(item, dir+"/"))
		return err
	}))
	slices.Sort(items)
	return items
}

func describe(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return path + "/" + unusual(info, 0o755), nil
	case fs.ModeSymlink:
		text, err := os.Readlink(path)
		return path + "->" + text, err
	case 0:
		b, err := os.ReadFile(path)
		if info.Mode().Perm() == 0o555 {
			return path + "*=" + string(b), err
		}
		return path + "=" + string(b) + unusual(info, 0o444), err
	}
	return path + " is a " + info.Mode().String(), nil
}

func unusual(info fs.FileInfo, want fs.FileMode) string {
	if info.Mode().Perm() != want || info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
		return " " + info.Mode().String()
	}
	return ""
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
