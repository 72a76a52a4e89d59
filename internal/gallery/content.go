package gallery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/resource"
)

const (
	maxManifest  = 4 << 20 // as the registry protocol has it
	maxConfig    = 8 << 20
	maxManifests = 128 // that one version may consist of
	maxNesting   = 3   // of indexes
)

// content is the registry's blobs, read straight from its folder: distribution's
// layout of it has not changed since its second version, and its stores know a
// blob only by a repository that links to it.
type content struct {
	root   string
	logger *slog.Logger
}

func (c content) path(digest string) string {
	hex := digest[len("sha256:"):]
	return filepath.Join(c.root, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
}

// errDamaged: a blob is not what its digest says.
var errDamaged = errors.New("damaged")

// errMissing: a blob is not there, or not whole.
type errMissing struct{ what string }

func (e errMissing) Error() string { return e.what }

// stat checks that a blob is there in the size that its descriptor says.
func (c content) stat(d ocispec.Descriptor) error {
	info, err := os.Stat(c.path(d.Digest.String()))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errMissing{fmt.Sprintf("blob %s is missing", d.Digest)}
	case err != nil:
		return fmt.Errorf("look at blob %s: %w", d.Digest, err)
	case info.Size() != d.Size:
		return c.disputed(d, info.Size())
	}
	return nil
}

// disputed decides by the digest who is wrong, the blob or its descriptor. A torn
// blob is set aside: while it is there no push can bring it again.
func (c content) disputed(d ocispec.Descriptor, size int64) error {
	blob, err := c.open(d.Digest.String())
	if err != nil {
		return err
	}
	defer blob.Close()
	_, err = io.Copy(io.Discard, blob)
	if errors.Is(err, errDamaged) {
		return errMissing{fmt.Sprintf("blob %s was damaged", d.Digest)}
	}
	if err != nil {
		return fmt.Errorf("read blob %s: %w", d.Digest, err)
	}
	return fmt.Errorf("blob %s has %d bytes, not the %d that it is said to have", d.Digest, size, d.Size)
}

// open reads a blob and fails at its end, never silently, if it is not what its digest says.
func (c content) open(digest string) (io.ReadCloser, error) {
	if !resource.ValidDigest(digest) {
		return nil, resource.Errorf(resource.CodeInvalid, "%q is not a sha256 digest", digest)
	}
	f, err := os.Open(c.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, resource.Errorf(resource.CodeImageNotFound, "blob %s is not in the gallery", digest)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", digest, err)
	}
	return &verified{file: f, hash: sha256.New(), digest: digest, content: c}, nil
}

func (c content) read(digest string, limit int64) ([]byte, error) {
	blob, err := c.open(digest)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	b, err := io.ReadAll(io.LimitReader(blob, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", digest, err)
	}
	if int64(len(b)) > limit {
		return nil, resource.Errorf(resource.CodeTooLarge, "blob %s has more than %d bytes", digest, limit)
	}
	return b, nil
}

// manifest reads a manifest by its digest.
func (c content) manifest(digest string) (manifest, []byte, error) {
	raw, err := c.read(digest, maxManifest)
	if err != nil {
		return manifest{}, nil, err
	}
	m, err := parseManifest(raw)
	if err != nil {
		return m, raw, fmt.Errorf("manifest %s: %w", digest, err)
	}
	return m, raw, nil
}

// setAside moves a damaged blob away, so that the next push brings it again.
func (c content) setAside(digest string) {
	dir := filepath.Join(c.root, "damaged")
	to := filepath.Join(dir, fmt.Sprintf("%s-%d", digest[len("sha256:"):], time.Now().UnixNano()))
	err := makeDir(dir)
	if err == nil {
		err = os.Rename(c.path(digest), to)
	}
	if err == nil {
		err = errors.Join(syncDir(dir), syncDir(filepath.Dir(c.path(digest))))
	}
	if err != nil {
		c.logger.Error("set a damaged blob aside", "digest", digest, "err", err)
		return
	}
	c.logger.Error("a blob does not fit its digest and was set aside: push its image again", "digest", digest, "aside", to)
}

// verified compares a blob with its digest while it is read, from its beginning
// to its end: it can do nothing else that a file can.
type verified struct {
	file    *os.File
	hash    hash.Hash
	digest  string
	content content
	failed  error
}

func (v *verified) Read(p []byte) (int, error) {
	if v.failed != nil {
		return 0, v.failed
	}
	n, err := v.file.Read(p)
	v.hash.Write(p[:n]) // never fails
	if errors.Is(err, io.EOF) && "sha256:"+hex.EncodeToString(v.hash.Sum(nil)) != v.digest {
		v.failed = fmt.Errorf("blob %s: %w", v.digest, errDamaged)
		v.content.setAside(v.digest)
		return n, v.failed
	}
	return n, err
}

func (v *verified) Close() error { return v.file.Close() }

// survey checks that everything that a manifest needs is there, and returns its
// size with its own.
func (c content) survey(m manifest, own int64) (int64, error) {
	s := surveyor{content: c, seen: map[string]bool{}}
	err := s.add(m, own, 0)
	return s.bytes, err
}

type surveyor struct {
	content
	seen      map[string]bool // a blob counts once
	manifests int
	bytes     int64
}

func (s *surveyor) add(m manifest, own int64, depth int) error {
	if s.manifests++; s.manifests > maxManifests || depth > maxNesting {
		return fmt.Errorf("it consists of more than %d manifests, or nests them deeper than %d", maxManifests, maxNesting)
	}
	s.bytes += own
	for _, d := range m.references() {
		if s.seen[d.Digest.String()] {
			continue
		}
		s.seen[d.Digest.String()] = true
		if err := s.stat(d); err != nil {
			return err
		}
		if !m.isIndex() {
			s.bytes += d.Size
			continue
		}
		child, _, err := s.manifest(d.Digest.String())
		if err == nil {
			err = s.add(child, d.Size, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Config returns the configuration and the layers of an image by the digest of
// its manifest; of an index, of the one for this machine's platform. Both were
// compared with their digests.
func (g *Registry) Config(ctx context.Context, digest string) (ocispec.Image, []ocispec.Descriptor, error) {
	var image ocispec.Image
	for range maxNesting + 1 {
		if err := ctx.Err(); err != nil {
			return image, nil, err
		}
		m, _, err := g.content.manifest(digest)
		if err != nil {
			return image, nil, err
		}
		if m.isIndex() {
			chosen, err := m.choose(runtime.GOOS, runtime.GOARCH, "")
			if err != nil {
				return image, nil, fmt.Errorf("index %s: %w", digest, err)
			}
			digest = chosen.Digest.String()
			continue
		}
		raw, err := g.content.read(m.Config.Digest.String(), maxConfig)
		if err != nil {
			return image, nil, err
		}
		if err := json.Unmarshal(raw, &image); err != nil {
			return image, nil, fmt.Errorf("decode the configuration of %s: %w", digest, err)
		}
		return image, m.Layers, nil
	}
	return image, nil, fmt.Errorf("index %s nests deeper than %d", digest, maxNesting)
}

// Layer opens a layer's blob. A read fails at the end of one that does not fit
// its digest, so that whoever reads must read to the end.
func (g *Registry) Layer(ctx context.Context, digest string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return g.content.open(digest)
}
