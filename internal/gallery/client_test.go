package gallery_test

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/klauspost/compress/gzip"

	"github.com/droverhq/drover/internal/client/imagepush"
	"github.com/droverhq/drover/internal/gallery"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
	"github.com/droverhq/drover/internal/testtool"
)

type oneToken struct{}

func (oneToken) Authenticate(_ context.Context, secret string) (gallery.Caller, error) {
	if secret != "secret" {
		return nil, resource.Errorf(resource.CodeUnauthenticated, "unknown token")
	}
	return anything{}, nil
}

type anything struct{}

func (anything) Name() string                    { return "tester" }
func (anything) May(gallery.Action, string) bool { return true }

func serve(t *testing.T) (*gallery.Registry, *store.Store, *httptest.Server) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gallery.New(gallery.Options{Dir: t.TempDir(), Site: "local", Store: s, Guard: oneToken{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return g, s, server
}

func versionOf(t *testing.T, s *store.Store, name string) resource.ImageVersion {
	t.Helper()
	v, err := store.GetAs[resource.ImageVersionSpec, resource.ImageVersionStatus](t.Context(), s, resource.KindImageVersion, name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAFolderArrivesAsItWas(t *testing.T) {
	t.Parallel()
	g, s, server := serve(t)
	dir := t.TempDir()
	for path, mode := range map[string]os.FileMode{"server": 0o755, "site/index.html": 0o644} {
		file := filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(path), mode)); err != nil {
			t.Fatal(err)
		}
	}
	img, err := imagepush.Build(t.Context(), imagepush.Options{Layers: []imagepush.Folder{{Path: dir}}, Entrypoint: []string{"./server", "-v"}})
	if err != nil {
		t.Fatal(err)
	}
	target := imagepush.Server{URL: server.URL, Token: "secret"}
	digest, err := imagepush.Push(t.Context(), target, "team/hello:1.0.0", img, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v := versionOf(t, s, "team/hello:1.0.0"); v.Status.Digest != digest {
		t.Fatalf("%+v", v)
	}
	config, layers, err := g.Config(t.Context(), digest)
	if err != nil || strings.Join(config.Config.Entrypoint, " ") != "./server -v" || len(layers) != 1 {
		t.Fatalf("%+v %v", config, err)
	}
	blob, err := g.Layer(t.Context(), layers[0].Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	z, err := gzip.NewReader(blob)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	if got := strings.Join(names, " "); got != "./ server site/ site/index.html" {
		t.Fatal(got)
	}
	// The same again is nothing new; another content is refused and says so.
	if _, err := imagepush.Push(t.Context(), target, "team/hello:1.0.0", img, nil); err != nil {
		t.Fatal(err)
	}
	other := mutate.Annotations(img, map[string]string{"a": "b"}).(v1.Image)
	if _, err := imagepush.Push(t.Context(), target, "team/hello:1.0.0", other, nil); resource.CodeOf(err) != resource.CodeVersionImmutable || !strings.Contains(err.Error(), "versions never change") {
		t.Fatal(err)
	}
	target.Token = "wrong"
	if _, err := imagepush.Push(t.Context(), target, "team/hello:2.0.0", img, nil); resource.CodeOf(err) != resource.CodeUnauthenticated {
		t.Fatal(err)
	}
}

func TestTheLibraryPushesAndPulls(t *testing.T) {
	t.Parallel()
	_, s, server := serve(t)
	tag, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/hello:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: "any", Password: "secret"}))
	img, err := random.Image(300_000, 3) // Docker's media types
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img, auth); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(tag, auth)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(pulled); err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	if err := remote.WriteIndex(tag.Context().Tag("2.0.0"), index, auth); err != nil {
		t.Fatal(err)
	}
	v := versionOf(t, s, "hello:2.0.0")
	if d, err := index.Digest(); err != nil || v.Status.Digest != d.String() || v.Status.Bytes < 900_000 {
		t.Fatalf("%+v %v", v.Status, err)
	}
	if names, err := remote.Catalog(t.Context(), tag.Registry, auth); err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if tags, err := remote.List(tag.Context(), auth); err != nil || len(tags) != 2 {
		t.Fatal(tags, err)
	}
	if err := remote.Delete(tag, auth); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Head(tag, auth); err == nil {
		t.Fatal("it is still there")
	}
}

func ociImage(t *testing.T, size, layers int64) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for range layers {
		l, err := random.Layer(size, types.OCIUncompressedLayer)
		if err == nil {
			img, err = mutate.AppendLayers(img, l)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return img
}

func TestSkopeoPushesAndPulls(t *testing.T) {
	t.Parallel()
	skopeo := testtool.Require(t, "skopeo")
	_, s, server := serve(t)
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.json")
	if err := os.WriteFile(policy, []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	img := ociImage(t, 100_000, 2)
	from := filepath.Join(dir, "from")
	l, err := layout.Write(from, empty.Index)
	if err == nil {
		err = l.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "x"}))
	}
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), skopeo, append([]string{"--policy", policy}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "TMPDIR="+dir)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	host := "docker://" + strings.TrimPrefix(server.URL, "http://")
	push := func(reference, creds string) (string, error) {
		return run("copy", "--dest-tls-verify=false", "--dest-creds", creds, "oci:"+from+":x", host+"/"+reference)
	}
	if out, err := push("hello:1.1.0", "x:secret"); err != nil {
		t.Fatal(err, out)
	}
	v := versionOf(t, s, "hello:1.1.0")
	if out, err := push("hello:1.1.0", "anybody:secret"); err != nil {
		t.Fatal("the same content again:", err, out)
	}
	if out, err := push("hello:1.2.0", "x:wrong"); err == nil || !strings.Contains(out, "unauthorized") && !strings.Contains(out, "unknown token") {
		t.Fatal("with a wrong token:", out)
	}
	if out, err := run("copy", "--src-tls-verify=false", "--src-creds", "x:secret", host+"/hello:1.1.0", "oci:"+filepath.Join(dir, "to")+":y"); err != nil {
		t.Fatal(err, out)
	}
	out, err := run("inspect", "--raw", "oci:"+filepath.Join(dir, "to")+":y")
	if err != nil {
		t.Fatal(err, out)
	}
	var m struct {
		Layers []json.RawMessage `json:"layers"`
	}
	if err := json.Unmarshal([]byte(out), &m); err != nil || len(m.Layers) != 2 {
		t.Fatal(out, err)
	}
	if out, err := run("inspect", "--tls-verify=false", "--creds", "x:secret", host+"/hello:1.1.0"); err != nil || !strings.Contains(out, v.Status.Digest) {
		t.Fatal(err, out)
	}
	// Another content under the same version.
	if err := l.ReplaceImage(ociImage(t, 1000, 1), func(v1.Descriptor) bool { return true }, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "x"})); err != nil {
		t.Fatal(err)
	}
	if out, err := push("hello:1.1.0", "x:secret"); err == nil || !strings.Contains(out, "versions never change") {
		t.Fatal("other content:", out)
	}
	if out, err := run("delete", "--tls-verify=false", "--creds", "x:secret", host+"/hello:1.1.0"); err != nil {
		t.Fatal(err, out)
	}
	if _, err := s.Get(t.Context(), resource.KindImageVersion, "hello:1.1.0"); !errors.Is(err, store.ErrNotFound) {
		t.Fatal("after its deletion:", err)
	}
}
