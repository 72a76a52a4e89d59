package gallery

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Three indexes that refer to each other a thousand times each are small to push. A
// deletion that followed every reference would follow 10⁹ and never be answered.
func TestIndexesThatRepeatEachOther(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	m := p.imageManifest("hello", "one")
	p.mustPush("hello", "stable", "one")
	other := p.mustPush("hello", "other", "two")
	below := ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: descriptorOf(digestOf(m)), Size: int64(len(m)),
		Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"},
	}
	var index string
	for level := range 3 {
		var a answer
		a, index = p.index("hello", fmt.Sprint("level", level), slices.Repeat([]ocispec.Descriptor{below}, 1000)...)
		if a.status != http.StatusCreated {
			t.Fatalf("level %d: %+v", level, a)
		}
		below = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: descriptorOf(index), Size: p.size("hello", index)}
	}
	if a, _ := p.index("hello", "1.0.0", below); a.status < 400 {
		t.Fatalf("a version of four indexes, one in the other: %+v", a)
	}
	p.set("front", "hello@"+index, index)
	if a := p.do(http.MethodDelete, "/v2/hello/manifests/"+digestOf(m), everything, "", nil); a.status != http.StatusConflict {
		t.Errorf("what is below all of them: %+v", a)
	}
	if a := p.do(http.MethodDelete, "/v2/hello/manifests/"+other, everything, "", nil); a.status != http.StatusAccepted {
		t.Errorf("what is in none: %+v", a)
	}
}

// size of a manifest, in bytes.
func (p *place) size(image, digest string) int64 {
	p.t.Helper()
	return int64(len(p.do(http.MethodGet, "/v2/"+image+"/manifests/"+digest, everything, "", nil).body))
}
