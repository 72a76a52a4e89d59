package gallery

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

func descriptorOf(d string) digest.Digest { return digest.Digest(d) }

func TestPushOfAVersionMakesItsDocuments(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	d := p.mustPush("team/hello", "1.2.0", "one")
	p.mustPush("team/hello", "1.10.0", "two")
	p.mustPush("team/hello", "1.9.9", "three")
	v, ok := p.version("team/hello:1.2.0")
	if !ok || v.Status.Digest != d || v.Status.Bytes < 100 || v.Status.PublishedAt.IsZero() || v.Status.InUseBy == nil ||
		len(v.Status.Replication) != 1 || v.Status.Replication[0] != (resource.Replication{Site: "local", State: "Completed"}) {
		t.Fatalf("%+v", v)
	}
	if o, ok := p.image("team/hello"); !ok || o.Spec.OSType != "Linux" || o.Status.Latest != "1.10.0" {
		t.Fatalf("%+v", o)
	}
}

func TestVersionsAreImmutableAndOtherTagsMove(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	first := p.mustPush("hello", "1.0.0", "one")
	if a, _ := p.push("hello", "1.0.0", "two"); a.status != http.StatusConflict || a.code() != "version_immutable" {
		t.Fatalf("other content: %+v", a)
	}
	if again := p.mustPush("hello", "1.0.0", "one"); again != first {
		t.Fatal("the same content has another digest")
	}
	if v, _ := p.version("hello:1.0.0"); v.Status.Digest != first {
		t.Fatalf("%+v", v)
	}
	p.mustPush("hello", "stable", "one")
	moved := p.mustPush("hello", "stable", "two")
	if a := p.do(http.MethodHead, "/v2/hello/manifests/stable", everything, "", nil); a.header.Get("Docker-Content-Digest") != moved {
		t.Fatalf("%+v", a)
	}
}

func TestWhatOnlyLooksLikeAVersionIsATag(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, tag := range []string{"01.2.3", "1.2", "1.2.3.4", "v1.2.3", "1.2.3-rc1", "2147483648.0.0", "1.2.x", "latest"} {
		p.mustPush("hello", tag, "one")
		p.mustPush("hello", tag, "two")
	}
	p.reconcileAll()
	if list, err := p.store.List(t.Context(), resource.KindImageVersion, store.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Fatalf("%v %v", list.Items, err)
	}
	if _, ok := p.image("hello"); ok {
		t.Fatal("an image without a version has a document")
	}
	p.mustPush("hello", "2147483647.0.0", "one")
	if _, ok := p.version("hello:2147483647.0.0"); !ok {
		t.Fatal("the largest number is a version")
	}
}

func TestOneOfManyPushesOfAVersionWins(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for round := range 5 {
		tag := fmt.Sprintf("1.0.%d", round)
		manifests := make([][]byte, 8)
		for i := range manifests {
			manifests[i] = p.imageManifest("hello", fmt.Sprintf("%d-%d", round, i))
		}
		answers := make([]answer, len(manifests))
		var wg sync.WaitGroup
		for i, m := range manifests {
			wg.Go(func() { answers[i] = p.putManifest("hello", tag, m) })
		}
		wg.Wait()
		winner := ""
		for i, a := range answers {
			switch {
			case a.status == http.StatusCreated && winner == "":
				winner = digestOf(manifests[i])
			case a.status != http.StatusConflict:
				t.Fatalf("round %d: %+v", round, answers)
			}
		}
		v, _ := p.version("hello:" + tag)
		head := p.do(http.MethodHead, "/v2/hello/manifests/"+tag, everything, "", nil)
		if winner == "" || v.Status.Digest != winner || head.header.Get("Docker-Content-Digest") != winner {
			t.Fatalf("round %d: won %q, document %q, tag %q", round, winner, v.Status.Digest, head.header.Get("Docker-Content-Digest"))
		}
	}
}

func TestManifestsThatCannotBeVersions(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	config := p.putBlob("hello", []byte(`{}`))
	layer := p.putBlob("hello", []byte("layer"))
	foreign := p.putBlob("other", []byte("of another image"))
	with := func(d ocispec.Descriptor, mediaType string) ocispec.Descriptor { d.MediaType = mediaType; return d }
	sized := func(d ocispec.Descriptor, size int64) ocispec.Descriptor { d.Size = size; return d }
	good := with(config, ocispec.MediaTypeImageConfig)
	absent := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("absent"), Size: 6}
	for name, m := range map[string][]byte{
		"empty":              nil,
		"not JSON":           []byte("hello"),
		"an array":           []byte("[]"),
		"no fields":          []byte("{}"),
		"schema 1":           []byte(`{"schemaVersion":1,"name":"hello","tag":"1.0.0"}`),
		"no config":          []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}`),
		"a layer is missing": manifestOf(t, good, absent),
		"a layer of another": manifestOf(t, good, with(foreign, ocispec.MediaTypeImageLayer)),
		"a layer is no tar":  manifestOf(t, good, with(layer, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")),
		"a config of a helm": manifestOf(t, with(config, "application/vnd.cncf.helm.config.v1+json"), with(layer, ocispec.MediaTypeImageLayer)),
		"a wrong size":       manifestOf(t, good, with(sized(layer, 4), ocispec.MediaTypeImageLayer)),
		"a negative size":    manifestOf(t, good, with(sized(layer, -1), ocispec.MediaTypeImageLayer)),
		"a path as digest":   []byte(strings.Replace(string(manifestOf(t, good, with(layer, ocispec.MediaTypeImageLayer))), layer.Digest.String(), "sha256:../../../../etc/passwd", 1)),
		"manifest and index": []byte(strings.Replace(string(manifestOf(t, good)), `"layers":`, `"manifests":[{"digest":"`+config.Digest.String()+`","size":2}],"layers":`, 1)),
		"an empty index":     []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`),
		"deeply nested":      []byte(strings.Repeat(`{"a":`, 20000)),
		"too large":          []byte(strings.Repeat(" ", maxManifest) + "{}"),
	} {
		t.Run(name, func(t *testing.T) {
			a := p.putManifest("hello", "1.0.0", m)
			if a.status < 400 || a.status >= 500 {
				t.Errorf("%+v", a)
			}
			if _, ok := p.version("hello:1.0.0"); ok {
				t.Error("it became a version")
			}
			if a := p.do(http.MethodHead, "/v2/hello/manifests/1.0.0", everything, "", nil); a.status != http.StatusNotFound {
				t.Errorf("it is there: %+v", a)
			}
		})
	}
	if log := p.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("a client's mistakes are logged as errors:\n%s", log)
	}
}

func (p *place) index(image, reference string, children ...ocispec.Descriptor) (answer, string) {
	p.t.Helper()
	raw := encode(p.t, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children})
	return p.do(http.MethodPut, "/v2/"+image+"/manifests/"+reference, everything, ocispec.MediaTypeImageIndex, raw), digestOf(raw)
}

func TestDeleteIsRefusedWhileASetUsesIt(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	d := p.mustPush("hello", "1.0.0", "one")
	p.mustPush("hello", "2.0.0", "two")
	p.mustPush("hello", "same", "one")
	p.set("front", "hello:1.0.0", d)
	inUse := func(what string, err error, a answer) {
		t.Helper()
		if err != nil && resource.CodeOf(err) != resource.CodeInUse || err == nil && (a.status != http.StatusConflict || a.code() != "in_use" || !strings.Contains(a.body, "front")) {
			t.Errorf("%s: %v %+v", what, err, a)
		}
	}
	inUse("version", p.DeleteVersion(t.Context(), "hello:1.0.0"), answer{})
	inUse("image", p.DeleteImage(t.Context(), "hello"), answer{})
	inUse("tag", nil, p.do(http.MethodDelete, "/v2/hello/manifests/1.0.0", everything, "", nil))
	inUse("digest", nil, p.do(http.MethodDelete, "/v2/hello/manifests/"+d, everything, "", nil))
	if a := p.do(http.MethodDelete, "/v2/hello/manifests/same", everything, "", nil); a.status != http.StatusAccepted {
		t.Errorf("another tag of it: %+v", a)
	}
	if _, ok := p.version("hello:1.0.0"); !ok {
		t.Fatal("the version is gone")
	}
	if a := p.do(http.MethodGet, "/v2/hello/manifests/1.0.0", everything, "", nil); a.status != http.StatusOK {
		t.Fatalf("the tag is gone: %+v", a)
	}
	// Without the set both go.
	p.update(func(tx *store.Tx) error { return tx.Delete(resource.KindScaleSet, "front") })
	if a := p.do(http.MethodDelete, "/v2/hello/manifests/1.0.0", everything, "", nil); a.status != http.StatusAccepted {
		t.Fatalf("%+v", a)
	}
	if err := p.DeleteVersion(t.Context(), "hello:2.0.0"); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"1.0.0", "2.0.0"} {
		if _, ok := p.version("hello:" + v); ok {
			t.Errorf("%s is still a document", v)
		}
		if a := p.do(http.MethodGet, "/v2/hello/manifests/"+v, everything, "", nil); a.status != http.StatusNotFound {
			t.Errorf("%s is still a tag: %+v", v, a)
		}
	}
	if o, _ := p.image("hello"); o.Status.Latest != "" || len(o.Status.Removing) > 0 {
		t.Errorf("%+v", o.Status)
	}
	// A deleted version can be pushed again, with whatever content.
	p.mustPush("hello", "1.0.0", "other")
}

func TestDeleteByDigestTakesItsVersionsAlong(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	d := p.mustPush("hello", "1.0.0", "one")
	p.mustPush("hello", "1.0.1", "one")
	p.mustPush("hello", "stable", "one")
	p.mustPush("hello", "2.0.0", "two")
	if a := p.do(http.MethodDelete, "/v2/hello/manifests/"+d, everything, "", nil); a.status != http.StatusAccepted {
		t.Fatalf("%+v", a)
	}
	p.reconcileAll()
	for reference, there := range map[string]bool{"1.0.0": false, "1.0.1": false, "stable": false, d: false, "2.0.0": true} {
		a := p.do(http.MethodGet, "/v2/hello/manifests/"+reference, everything, "", nil)
		if (a.status == http.StatusOK) != there {
			t.Errorf("%s: %d", reference, a.status)
		}
		if _, ok := p.version("hello:" + reference); ok != there {
			t.Errorf("document %s: %v", reference, ok)
		}
	}
}

func TestPartsOfAnIndexInUseStay(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	m := p.imageManifest("hello", "amd")
	if a := p.putManifest("hello", digestOf(m), m); a.status != http.StatusCreated {
		t.Fatalf("%+v", a)
	}
	child := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: descriptorOf(digestOf(m)), Size: int64(len(m)), Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"}}
	a, index := p.index("hello", "1.0.0", child)
	if a.status != http.StatusCreated {
		t.Fatalf("%+v", a)
	}
	if v, _ := p.version("hello:1.0.0"); v.Status.Digest != index || v.Status.Bytes <= int64(len(m)) {
		t.Fatalf("%+v", v.Status)
	}
	if a := p.do(http.MethodDelete, "/v2/hello/manifests/"+digestOf(m), everything, "", nil); a.status != http.StatusConflict || !strings.Contains(a.body, "hello:1.0.0") {
		t.Fatalf("a part of a version: %+v", a)
	}
	if err := p.DeleteVersion(t.Context(), "hello:1.0.0"); err != nil {
		t.Fatal(err)
	}
	p.set("front", "hello@"+index, index) // by digest, without a version
	if a := p.do(http.MethodDelete, "/v2/hello/manifests/"+digestOf(m), everything, "", nil); a.status != http.StatusConflict || !strings.Contains(a.body, "front") {
		t.Fatalf("a part of what runs: %+v", a)
	}
	if a := p.do(http.MethodDelete, "/v2/hello/manifests/"+index, everything, "", nil); a.status != http.StatusConflict {
		t.Fatalf("what runs: %+v", a)
	}
	if a, _ := p.index("hello", "2.0.0", ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1, Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"}}); a.status < 400 || a.status >= 500 {
		t.Fatalf("an index of nothing: %+v", a)
	}
}

func TestDeleteImage(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.mustPush("web", "1.0.0", "one")
	p.mustPush("web", "2.0.0", "two")
	p.mustPush("web", "stable", "two")
	p.mustPush("web/front", "1.0.0", "three")
	if err := p.DeleteImage(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.image("web"); ok {
		t.Error("the image is still there")
	}
	if tags, err := p.allTags(t.Context(), "web"); err != nil || len(tags) > 0 {
		t.Errorf("%v %v", tags, err)
	}
	p.reconcileAll()
	if _, ok := p.image("web"); ok {
		t.Error("the image came back")
	}
	if _, ok := p.version("web/front:1.0.0"); !ok {
		t.Error("an image below it went along")
	}
	if err := p.DeleteImage(t.Context(), "web"); resource.CodeOf(err) != resource.CodeNotFound {
		t.Error(err)
	}
	if err := p.DeleteVersion(t.Context(), "web:1.0.0"); resource.CodeOf(err) != resource.CodeNotFound {
		t.Error(err)
	}
	if err := p.DeleteVersion(t.Context(), "web:latest"); resource.CodeOf(err) != resource.CodeInvalid {
		t.Error(err)
	}
}

// TestInterruptedDeletionGoesOn plays what a crash leaves after a deletion's transaction.
func TestInterruptedDeletionGoesOn(t *testing.T) {
	t.Parallel()
	one := resource.Version{Major: 1}
	for name, goesOn := range map[string]func(p *place){
		"at the start":     func(p *place) { p.reconcileAll() },
		"at the next push": func(p *place) { p.mustPush("hello", "1.0.0", "other") },
		"at a pull": func(p *place) {
			if a := p.do(http.MethodGet, "/v2/hello/manifests/1.0.0", everything, "", nil); a.status != http.StatusNotFound {
				p.t.Fatalf("%+v", a)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			first := p.mustPush("hello", "1.0.0", "one")
			if err := p.unlist(t.Context(), removal{image: "hello", versions: []resource.Version{one}}); err != nil {
				t.Fatal(err)
			}
			goesOn(p)
			if o, _ := p.image("hello"); len(o.Status.Removing) > 0 {
				t.Fatalf("%+v", o.Status)
			}
			if now, err := p.tagged(t.Context(), "hello", "1.0.0"); err != nil || now == first {
				t.Fatalf("the tag points to %q, %v", now, err)
			}
		})
	}
}

// TestInterruptedPush plays what a crash leaves between the tag and the documents.
func TestInterruptedPush(t *testing.T) {
	t.Parallel()
	for name, goesOn := range map[string]func(p *place){
		"at the start":     func(p *place) { p.reconcileAll() },
		"at the same push": func(p *place) { p.mustPush("hello", "1.0.0", "one") },
		"at a pull": func(p *place) {
			if a := p.do(http.MethodHead, "/v2/hello/manifests/1.0.0", "may-pull", "", nil); a.status != http.StatusOK {
				p.t.Fatalf("%+v", a)
			}
		},
		"at another push": func(p *place) {
			if a, _ := p.push("hello", "1.0.0", "other"); a.status != http.StatusConflict {
				p.t.Fatalf("%+v", a)
			}
			p.reconcileAll()
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			d := p.mustPush("hello", "1.0.0", "one")
			p.update(func(tx *store.Tx) error { return tx.Delete(resource.KindImageVersion, "hello:1.0.0") })
			goesOn(p)
			if v, ok := p.version("hello:1.0.0"); !ok || v.Status.Digest != d || v.Status.Bytes == 0 {
				t.Fatalf("%v %+v", ok, v)
			}
		})
	}
}

func TestTagThatWasNeverFinishedGoes(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.mustPush("hello", "1.0.0", "one")
	half := p.driver.full(repositoriesPath + "/hello/_manifests/tags/2.0.0/index")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	p.reconcileAll()
	if tags, err := p.allTags(t.Context(), "hello"); err != nil || len(tags) != 1 {
		t.Fatalf("%v %v", tags, err)
	}
}

func TestVanishedContentIsSaidAndHealed(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	m := p.imageManifest("hello", "one")
	d := digestOf(m)
	layer := digestOf([]byte("layer of one"))
	repo := p.driver.full(repositoriesPath + "/hello")
	for name, c := range map[string]struct {
		damage func() error
		missed bool // else it heals by itself
	}{
		"a layer is gone":       {func() error { return os.Remove(p.content.path(layer)) }, true},
		"a layer is torn":       {func() error { return os.Truncate(p.content.path(layer), 3) }, true},
		"the manifest is gone":  {func() error { return os.Remove(p.content.path(d)) }, true},
		"the manifest is torn":  {func() error { return os.Truncate(p.content.path(d), 10) }, true},
		"all blobs are gone":    {func() error { return os.RemoveAll(filepath.Join(p.options.Dir, "docker/registry/v2/blobs")) }, true},
		"the tag is gone":       {func() error { return os.RemoveAll(filepath.Join(repo, "_manifests/tags")) }, false},
		"the revision is gone":  {func() error { return os.RemoveAll(filepath.Join(repo, "_manifests/revisions")) }, false},
		"the image is gone":     {func() error { return os.RemoveAll(repo) }, true},
		"the tag is overlooked": {func() error { return p.untag(t.Context(), "hello", "1.0.0") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			if a := p.putManifest("hello", "1.0.0", p.imageManifest("hello", "one")); a.status != http.StatusCreated {
				t.Fatalf("push again: %+v", a)
			}
			if v, _ := p.version("hello:1.0.0"); len(v.Status.Conditions) > 0 {
				t.Fatalf("before: %+v", v.Status)
			}
			if err := c.damage(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				p.reconcileAll()
				v, ok := p.version("hello:1.0.0")
				if !ok || v.Status.Digest != d {
					t.Fatalf("the document: %v %+v", ok, v)
				}
				missed := resource.FindCondition(v.Status.Conditions, resource.ConditionContentMissing) != nil
				if missed != c.missed {
					t.Fatalf("conditions: %+v", v.Status.Conditions)
				}
			}
			a := p.do(http.MethodGet, "/v2/hello/manifests/1.0.0", everything, "", nil)
			if !c.missed && (a.status != http.StatusOK || a.body != string(m)) {
				t.Fatalf("pull: %+v", a)
			}
		})
	}
}
