package gallery

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/resource"
)

func TestConfigAndLayersOfAnImage(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	d := p.mustPush("hello", "1.0.0", "one")
	config, layers, err := p.Config(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Config.Entrypoint) != 1 || config.Config.Entrypoint[0] != "one" || len(layers) != 1 {
		t.Fatalf("%+v %+v", config, layers)
	}
	layer, err := p.Layer(t.Context(), layers[0].Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	if err := iotest.TestReader(layer, []byte("layer of one")); err != nil {
		t.Fatal(err)
	}
}

func TestContentThatIsNotThere(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	absent := digestOf([]byte("absent"))
	for digest, code := range map[string]resource.Code{
		absent: resource.CodeImageNotFound, "": resource.CodeInvalid, "sha256:../../x": resource.CodeInvalid, "sha256:ab": resource.CodeInvalid,
		"sha512:" + strings.Repeat("a", 128): resource.CodeInvalid,
	} {
		if _, _, err := p.Config(t.Context(), digest); resource.CodeOf(err) != code {
			t.Errorf("config of %q: %v", digest, err)
		}
		if _, err := p.Layer(t.Context(), digest); resource.CodeOf(err) != code {
			t.Errorf("layer %q: %v", digest, err)
		}
	}
}

func TestDamagedLayerIsNeverReadToItsEnd(t *testing.T) {
	t.Parallel()
	layer := []byte("layer of one")
	for name, damage := range map[string][]byte{
		"flipped": bytes.Replace(layer, []byte("y"), []byte("x"), 1),
		"torn":    layer[:5],
		"longer":  append(bytes.Clone(layer), 0),
		"empty":   {},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.mustPush("hello", "1.0.0", "one")
			digest := digestOf(layer)
			if err := os.WriteFile(p.content.path(digest), damage, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, read := range []func(io.Reader) error{
				func(r io.Reader) error { _, err := io.ReadAll(r); return err },
				func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err },
			} {
				r, err := p.Layer(t.Context(), digest)
				if err != nil {
					break // set aside by the first
				}
				if err := read(r); !errors.Is(err, errDamaged) {
					t.Errorf("read to its end: %v", err)
				}
				r.Close()
			}
			aside, err := filepath.Glob(filepath.Join(p.options.Dir, "damaged", "*"))
			if err != nil || len(aside) != 1 {
				t.Fatalf("set aside: %v %v", aside, err)
			}
			if content, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(content, damage) {
				t.Errorf("%q %v", content, err)
			}
			if !strings.Contains(p.log.String(), aside[0]) {
				t.Error("the log does not say where it is")
			}
			p.mustPush("hello", "1.0.0", "one")
			if r, err := p.Layer(t.Context(), digest); err != nil {
				t.Error("the next push does not heal it")
			} else if err := iotest.TestReader(r, layer); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestIndexGivesThisMachinesImage(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	child := func(text, os, arch string) ocispec.Descriptor {
		m := p.imageManifest("hello", text)
		if a := p.putManifest("hello", digestOf(m), m); a.status != http.StatusCreated {
			t.Fatalf("%+v", a)
		}
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: descriptorOf(digestOf(m)), Size: int64(len(m)), Platform: &ocispec.Platform{OS: os, Architecture: arch}}
	}
	other, mine := child("other", "plan9", "mips"), child("mine", runtime.GOOS, runtime.GOARCH)
	a, index := p.index("hello", "1.0.0", other, mine)
	if a.status != http.StatusCreated {
		t.Fatalf("%+v", a)
	}
	config, _, err := p.Config(t.Context(), index)
	if err != nil || config.Config.Entrypoint[0] != "mine" {
		t.Fatalf("%+v %v", config, err)
	}
	if _, index = p.index("hello", "2.0.0", other); resource.CodeOf(func() error { _, _, err = p.Config(t.Context(), index); return err }()) != resource.CodeImageNotFound || !strings.Contains(err.Error(), "plan9/mips") {
		t.Fatalf("of another platform: %v", err)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	d := func(name, os, arch, variant string) ocispec.Descriptor {
		return ocispec.Descriptor{Digest: descriptorOf(name), Platform: &ocispec.Platform{OS: os, Architecture: arch, Variant: variant}}
	}
	plain := ocispec.Descriptor{Digest: "plain"}
	for _, c := range []struct {
		name    string
		list    []ocispec.Descriptor
		variant string
		want    string
	}{
		{"the exact one", []ocispec.Descriptor{d("a", "linux", "arm64", ""), d("b", "linux", "amd64", "")}, "", "b"},
		{"its variant", []ocispec.Descriptor{d("a", "linux", "amd64", ""), d("b", "linux", "amd64", "v3")}, "v3", "b"},
		{"one without a variant", []ocispec.Descriptor{d("a", "linux", "amd64", "v9"), d("b", "linux", "amd64", "")}, "v3", "b"},
		{"another variant", []ocispec.Descriptor{d("a", "linux", "amd64", "v2")}, "", "a"},
		{"the first of the same", []ocispec.Descriptor{d("a", "linux", "amd64", ""), d("b", "linux", "amd64", "")}, "", "a"},
		{"one that does not say", []ocispec.Descriptor{d("a", "linux", "arm64", ""), plain}, "", "plain"},
		{"no attestation", []ocispec.Descriptor{d("a", "unknown", "unknown", "")}, "", ""},
		{"another system", []ocispec.Descriptor{d("a", "windows", "amd64", "")}, "", ""},
		{"nothing", nil, "", ""},
	} {
		got, err := manifest{MediaType: ocispec.MediaTypeImageIndex, Manifests: c.list}.choose("linux", "amd64", c.variant)
		if got.Digest.String() != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %s %v", c.name, got.Digest, err)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":2},"layers":[]}`))
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"platform":null}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseManifest(raw)
		if err != nil {
			return
		}
		for _, d := range m.references() {
			if !resource.ValidDigest(d.Digest.String()) || d.Size < 0 {
				t.Errorf("%+v", d)
			}
		}
		if !m.isIndex() && m.Config.Digest == "" {
			t.Error("an image without a configuration")
		}
		_, _ = m.choose("linux", "amd64", "")
	})
}
