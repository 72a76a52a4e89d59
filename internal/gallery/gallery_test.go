package gallery

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// callers is a guard that knows a caller by a secret that says what it may do:
// "pull,push" or "pull:hello/*".
type callers struct{}

type caller string

func (callers) Authenticate(_ context.Context, secret string) (Caller, error) {
	switch {
	case secret == "broken":
		return nil, io.ErrUnexpectedEOF
	case !strings.HasPrefix(secret, "may-"):
		return nil, resource.Errorf(resource.CodeUnauthenticated, "unknown token")
	}
	return caller(strings.TrimPrefix(secret, "may-")), nil
}

func (c caller) Name() string { return "tester" }

func (c caller) May(a Action, image string) bool {
	actions, scope, scoped := strings.Cut(string(c), ":")
	if !slices.Contains(strings.Split(actions, ","), string(a)) {
		return false
	}
	return !scoped || scope == image || strings.HasSuffix(scope, "*") && strings.HasPrefix(image, strings.TrimSuffix(scope, "*"))
}

const everything = "may-pull,push,delete"

// place is a registry with a store and a server.
type place struct {
	*Registry
	t     *testing.T
	store *store.Store
	url   string
	log   *lockedBuffer
}

func newPlace(t *testing.T) *place {
	t.Helper()
	return openPlace(t, t.TempDir(), t.TempDir())
}

func openPlace(t *testing.T, storeDir, dir string) *place {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: storeDir})
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	g, err := New(Options{Dir: dir, Site: "local", Store: s, Guard: callers{}, Logger: slog.New(slog.NewTextHandler(log, nil))})
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
	return &place{Registry: g, t: t, store: s, url: server.URL, log: log}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type answer struct {
	status int
	header http.Header
	body   string
}

// code is Drover's own code in an OCI error.
func (a answer) code() string {
	var e ociErrors
	if json.Unmarshal([]byte(a.body), &e) != nil || len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Detail["code"]
}

func (p *place) do(method, path, secret, mediaType string, body []byte) answer {
	p.t.Helper()
	target := path
	if !strings.HasPrefix(target, "http") {
		target = p.url + path
	}
	req, err := http.NewRequestWithContext(p.t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if secret != "" {
		req.SetBasicAuth("x", secret)
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	req.Header.Set("Accept", strings.Join([]string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex}, ","))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(content)}
}

func (p *place) putBlob(image string, content []byte) ocispec.Descriptor {
	p.t.Helper()
	start := p.do(http.MethodPost, "/v2/"+image+"/blobs/uploads/", everything, "", nil)
	if start.status != http.StatusAccepted {
		p.t.Fatalf("start an upload: %+v", start)
	}
	location := p.absolute(start.header.Get("Location"))
	digest := digestOf(content)
	done := p.do(http.MethodPut, location+"&digest="+digest, everything, "application/octet-stream", content)
	if done.status != http.StatusCreated {
		p.t.Fatalf("upload a blob: %+v", done)
	}
	return ocispec.Descriptor{Digest: descriptorOf(digest), Size: int64(len(content))}
}

func (p *place) absolute(location string) string {
	if strings.HasPrefix(location, "/") {
		return p.url + location
	}
	return location
}

// imageManifest uploads an image's blobs and returns its manifest.
func (p *place) imageManifest(image, text string) []byte {
	p.t.Helper()
	config := p.putBlob(image, []byte(fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{"Entrypoint":[%q]},"rootfs":{"type":"layers","diff_ids":[]}}`, text)))
	config.MediaType = ocispec.MediaTypeImageConfig
	layer := p.putBlob(image, []byte("layer of "+text))
	layer.MediaType = ocispec.MediaTypeImageLayer
	return manifestOf(p.t, config, layer)
}

func manifestOf(t *testing.T, config ocispec.Descriptor, layers ...ocispec.Descriptor) []byte {
	t.Helper()
	m, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (p *place) putManifest(image, reference string, m []byte) answer {
	p.t.Helper()
	return p.do(http.MethodPut, "/v2/"+image+"/manifests/"+reference, everything, ocispec.MediaTypeImageManifest, m)
}

// push pushes a small image whose content is text.
func (p *place) push(image, reference, text string) (answer, string) {
	p.t.Helper()
	m := p.imageManifest(image, text)
	return p.putManifest(image, reference, m), digestOf(m)
}

func (p *place) mustPush(image, reference, text string) string {
	p.t.Helper()
	a, digest := p.push(image, reference, text)
	if a.status != http.StatusCreated {
		p.t.Fatalf("push %s:%s: %+v", image, reference, a)
	}
	return digest
}

func (p *place) version(name string) (resource.ImageVersion, bool) {
	p.t.Helper()
	v, err := getVersion(p.store, name)
	if err != nil && resource.CodeOf(err) != resource.CodeNotFound {
		p.t.Fatal(err)
	}
	return v, err == nil
}

func (p *place) image(name string) (resource.Image, bool) {
	p.t.Helper()
	o, err := store.GetAs[resource.ImageSpec, resource.ImageStatus](p.t.Context(), p.store, resource.KindImage, name)
	if err != nil && resource.CodeOf(err) != resource.CodeNotFound {
		p.t.Fatal(err)
	}
	return o, err == nil
}

func (p *place) update(fn func(tx *store.Tx) error) {
	p.t.Helper()
	if _, err := p.store.Update(p.t.Context(), fn); err != nil {
		p.t.Fatal(err)
	}
}

// reconcileAll is one pass of the loop.
func (p *place) reconcileAll() {
	p.t.Helper()
	keys, err := p.allKeys(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, key := range keys {
		if _, err := p.reconcile(p.t.Context(), key); err != nil {
			p.t.Fatal(err)
		}
	}
}

// set stores a scale set that runs an image.
func (p *place) set(name, image, digest string) {
	p.t.Helper()
	p.update(func(tx *store.Tx) error {
		_, err := store.PutAs(tx, resource.ScaleSet{
			Meta:   resource.Meta{Kind: resource.KindScaleSet, Name: name},
			Status: resource.ScaleSetStatus{Model: &resource.Model{Image: image, Digest: digest}},
		})
		return err
	})
}
