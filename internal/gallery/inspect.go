package gallery

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/resource"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
)

// unpackable are the layers that compute can unpack.
var unpackable = []string{
	ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd,
	dockerLayer, dockerLayer + ".gzip", dockerLayer + ".zstd",
}

// manifest is a manifest or an index; the two never mix.
type manifest struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Config        ocispec.Descriptor   `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
}

// parseManifest reads a manifest or an index that can be a version of an image.
func parseManifest(content []byte) (manifest, error) {
	var m manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return m, fmt.Errorf("it is not JSON: %w", err)
	}
	if m.SchemaVersion != 2 {
		return m, fmt.Errorf("schemaVersion %d is not 2", m.SchemaVersion)
	}
	if m.isIndex() {
		if len(m.Layers) > 0 || m.Config.Digest != "" {
			return m, fmt.Errorf("it is both an index and a manifest")
		}
		if len(m.Manifests) == 0 {
			return m, fmt.Errorf("it is an index of nothing")
		}
	} else if err := m.checkImage(); err != nil {
		return m, err
	}
	for _, d := range m.references() {
		if !resource.ValidDigest(d.Digest.String()) || d.Size < 0 {
			return m, fmt.Errorf("it refers to %q of %d bytes, which is no sha256 digest of anything", d.Digest, d.Size)
		}
	}
	return m, nil
}

func (m manifest) isIndex() bool {
	return m.MediaType == ocispec.MediaTypeImageIndex || m.MediaType == dockerList || m.MediaType == "" && len(m.Manifests) > 0
}

// mediaType is what it says that it is, or what it must be.
func (m manifest) mediaType() string {
	switch {
	case m.MediaType != "":
		return m.MediaType
	case m.isIndex():
		return ocispec.MediaTypeImageIndex
	}
	return ocispec.MediaTypeImageManifest
}

func (m manifest) checkImage() error {
	if len(m.Manifests) > 0 {
		return fmt.Errorf("it is both a manifest and an index")
	}
	if t := m.Config.MediaType; t != ocispec.MediaTypeImageConfig && t != dockerConfig {
		return fmt.Errorf("its configuration is a %q: it is no image", t)
	}
	for _, l := range m.Layers {
		if !slices.Contains(unpackable, l.MediaType) {
			return fmt.Errorf("layer %s is a %q, which cannot be unpacked", l.Digest, l.MediaType)
		}
	}
	return nil
}

// references are the blobs, or the manifests, that it needs. What an index says
// of images (attestations, for no platform) is not one.
func (m manifest) references() []ocispec.Descriptor {
	if !m.isIndex() {
		return append([]ocispec.Descriptor{m.Config}, m.Layers...)
	}
	return slices.DeleteFunc(slices.Clone(m.Manifests), func(d ocispec.Descriptor) bool {
		return d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown"
	})
}

// choose picks the image for a platform from an index: an exact variant first,
// then one without, then any.
func (m manifest) choose(os, arch, variant string) (ocispec.Descriptor, error) {
	best, bestRank := ocispec.Descriptor{}, 0
	var there []string
	for _, d := range m.references() {
		p := d.Platform
		if p == nil {
			p = &ocispec.Platform{OS: os, Architecture: arch} // it does not say: it may fit
		}
		there = append(there, strings.Trim(p.OS+"/"+p.Architecture+"/"+p.Variant, "/"))
		rank := 0
		switch {
		case p.OS != os || p.Architecture != arch:
		case p.Variant == variant:
			rank = 3
		case p.Variant == "":
			rank = 2
		default:
			rank = 1
		}
		if rank > bestRank {
			best, bestRank = d, rank
		}
	}
	if bestRank == 0 {
		return best, resource.Errorf(resource.CodeImageNotFound, "the image is there for %s, not for %s/%s", strings.Join(there, ", "), os, arch)
	}
	return best, nil
}
