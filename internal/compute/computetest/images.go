package computetest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/resource"
)

// File is one file of a test image.
type File struct {
	Text string
	Mode int64
}

// Images is a gallery in a folder, so that a Drover in another process has it too.
type Images struct {
	dir string

	mu   sync.Mutex
	fail error // what reading a layer ends with, while set
}

// FolderImages is the gallery in dir.
func FolderImages(dir string) *Images { return &Images{dir: dir} }

type image struct {
	Config ocispec.Image
	Layers []ocispec.Descriptor
}

// Add makes an image of one layer with these files and returns its digest.
func (g *Images) Add(t testing.TB, files map[string]File, config ocispec.ImageConfig) string {
	t.Helper()
	blob := layer(t, files)
	sum := digest.FromBytes(blob)
	text, err := json.Marshal(image{
		Config: ocispec.Image{Config: config, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{sum}}},
		Layers: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayer, Digest: sum, Size: int64(len(blob))}},
	})
	if err != nil {
		t.Fatal(err)
	}
	name := digest.FromBytes(text)
	for file, content := range map[string][]byte{g.file(sum.String()): blob, g.file(name.String()): text} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return name.String()
}

func layer(t testing.TB, files map[string]File) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, f := range files {
		header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: f.Mode, Size: int64(len(f.Text))}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.Text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func (g *Images) file(name string) string {
	return filepath.Join(g.dir, digest.Digest(name).Encoded())
}

// Fail makes every read of a layer end with err; nil: no longer.
func (g *Images) Fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail = err
}

// Config implements disk.Images.
func (g *Images) Config(_ context.Context, name string) (ocispec.Image, []ocispec.Descriptor, error) {
	text, err := os.ReadFile(g.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return ocispec.Image{}, nil, resource.Errorf(resource.CodeImageNotFound, "image %s is not in the gallery", name)
	}
	var i image
	if err == nil {
		err = json.Unmarshal(text, &i)
	}
	if err != nil {
		return ocispec.Image{}, nil, fmt.Errorf("read image %s: %w", name, err)
	}
	return i.Config, i.Layers, nil
}

// Layer implements disk.Images.
func (g *Images) Layer(_ context.Context, name string) (io.ReadCloser, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		return nil, g.fail
	}
	return os.Open(g.file(name))
}
