package disk

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifest is what a cached layer holds. It lies beside the files, written last.
type manifest struct {
	DiffID  string
	Entries []entry
	Files   int
	Bytes   int64
	Dropped Dropped

	dir string // where the cached layer is
}

func (m *manifest) file(n int) string { return filepath.Join(m.dir, fileName(n)) }

const manifestName = "manifest"

// cached is one layer of the cache as this life of the Store knows it.
type cached struct {
	turn     chan struct{} // full while someone verifies or unpacks the layer
	verified bool          // guarded by turn
	users    int           // guarded by Store.mu; no layer with users is removed
}

// wanted is a layer as the image asks for it.
type wanted struct {
	blob   ocispec.Descriptor
	diffID digest.Digest
}

func layerName(d digest.Digest) string { return strings.ReplaceAll(d.String(), ":", "-") }

// pin keeps a layer from being collected until unpin.
func (s *Store) pin(d digest.Digest) *cached {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.layers[layerName(d)]
	if c == nil {
		c = &cached{turn: make(chan struct{}, 1)}
		s.layers[layerName(d)] = c
	}
	c.users++
	return c
}

func (s *Store) unpin(pinned []*cached) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range pinned {
		c.users--
	}
}

// layer returns a pinned layer, unpacking it first when the cache has not got
// it whole. A layer that was unpacked before this life is verified at its first
// use, so nothing of the cache has to be synced: what a power cut tore is
// unpacked again. Where workloads could write to the cache (not as root) every
// file is verified as it is copied, and here only what is suspect.
func (s *Store) layer(ctx context.Context, c *cached, w wanted, bytes int64, suspect bool) (*manifest, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	dir := filepath.Join(s.layersDir(), layerName(w.diffID))
	m, err := readManifest(dir)
	if err == nil && (suspect || s.o.Root && !c.verified) {
		err = m.verify(ctx)
	}
	if err == nil || ctx.Err() != nil {
		c.verified = c.verified || err == nil
		return m, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		s.o.Logger.Warn("a cached layer is damaged and is unpacked again", "layer", w.diffID, "error", err)
	}
	if err := s.discard(dir); err != nil {
		return nil, fmt.Errorf("remove the damaged layer %s: %w", w.diffID, err)
	}
	m, err = s.extract(ctx, w, bytes, dir)
	c.verified = err == nil
	return m, err
}

// extract unpacks a layer beside the cache and moves it in when every byte was what it should be.
func (s *Store) extract(ctx context.Context, w wanted, bytes int64, dir string) (*manifest, error) {
	work := filepath.Join(s.workDir(), s.fresh())
	m, err := s.unpackBlob(ctx, w, bytes, work)
	if err == nil {
		err = m.write(work)
	}
	if err == nil {
		err = os.Rename(work, dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unpack layer %s: %w", w.blob.Digest, err), deleteTree(context.WithoutCancel(ctx), work))
	}
	m.dir = dir
	return m, nil
}

func (s *Store) unpackBlob(ctx context.Context, w wanted, bytes int64, work string) (*manifest, error) {
	if err := os.Mkdir(work, 0o700); err != nil {
		return nil, err
	}
	blob, err := s.o.Images.Layer(ctx, w.blob.Digest.String())
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	verifier := w.blob.Digest.Verifier()
	// One byte more than it should have is enough to see that it has too many.
	stream := io.TeeReader(io.LimitReader(blob, w.blob.Size+1), verifier)
	u := &unpacker{dir: work, entries: s.o.Limits.Entries, bytes: bytes, margin: func(n int64) error { return s.margin(work, n) }}
	unpackErr := u.unpack(ctx, stream)
	if unpackErr != nil && !errors.Is(unpackErr, ErrRefused) {
		return nil, unpackErr
	}
	// To the end, also of a layer that is refused: it may be damage that made it look hostile.
	if _, err := io.Copy(io.Discard, contextReader{ctx, stream}); err != nil {
		return nil, fmt.Errorf("read the blob: %w", err)
	}
	if !verifier.Verified() {
		return nil, fmt.Errorf("the blob is not what its digest says: %w", ErrCorrupt)
	}
	if unpackErr != nil {
		return nil, unpackErr
	}
	if u.m.DiffID != w.diffID.String() {
		return nil, fmt.Errorf("it unpacks to %s, not to %s: %w", u.m.DiffID, w.diffID, ErrCorrupt)
	}
	return &u.m, nil
}

// write stores the manifest after a checksum of itself.
func (m *manifest) write(dir string) error {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(m); err != nil {
		return fmt.Errorf("encode the layer's manifest: %w", err)
	}
	sum := sha256.Sum256(b.Bytes())
	return os.WriteFile(filepath.Join(dir, manifestName), append(sum[:], b.Bytes()...), 0o400)
}

func readManifest(dir string) (*manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return nil, err
	}
	if len(b) < sha256.Size || sha256.Sum256(b[sha256.Size:]) != [32]byte(b[:sha256.Size]) {
		return nil, fmt.Errorf("the layer's manifest: %w", ErrCorrupt)
	}
	m := &manifest{dir: dir}
	if err := gob.NewDecoder(bytes.NewReader(b[sha256.Size:])).Decode(m); err != nil {
		return nil, fmt.Errorf("the layer's manifest: %w: %w", err, ErrCorrupt)
	}
	return m, nil
}

// verify reads every file of the layer.
func (m *manifest) verify(ctx context.Context) error {
	for _, e := range m.Entries {
		if e.Kind != kindFile {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := verifyFile(m.file(e.File), &e); err != nil {
			return err
		}
	}
	return nil
}

// verifyFile checks that name is a plain file with e's content and mode.
func verifyFile(name string, e *entry) error {
	info, err := os.Lstat(name)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	if !info.Mode().IsRegular() || info.Size() != e.Size || info.Mode().Perm() != e.perm() {
		return fmt.Errorf("%s is %s with %d bytes: %w", name, info.Mode(), info.Size(), ErrCorrupt)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return sameContent(f, e)
}

func sameContent(r io.Reader, e *entry) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, bufio.NewReaderSize(r, 128<<10)); err != nil {
		return err
	}
	if [32]byte(sum.Sum(nil)) != e.Sum {
		return fmt.Errorf("the content of %q is not what was unpacked: %w", e.Name, ErrCorrupt)
	}
	return nil
}
