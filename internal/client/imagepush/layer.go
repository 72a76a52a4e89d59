package imagepush

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
)

// errChanged: the folder is not what its digest was computed from.
var errChanged = errors.New("the folder has changed while it was pushed")

// layer is a folder as a compressed layer that is made anew each time it is read.
type layer struct {
	path, prefix string
	digest       v1.Hash // of the compressed tar
	diffID       v1.Hash // of the tar
	size         int64   // compressed
}

var _ v1.Layer = (*layer)(nil)

// newLayer reads the folder once, for the digests.
func newLayer(ctx context.Context, f Folder) (*layer, error) {
	prefix, err := checkPrefix(f.Prefix)
	if err != nil {
		return nil, err
	}
	l := &layer{path: f.Path, prefix: prefix}
	compressed, plain := newCounter(), newCounter()
	zw := gzip.NewWriter(compressed)
	if err := l.tar(ctx, io.MultiWriter(zw, plain)); err != nil {
		return nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	l.digest, l.diffID, l.size = compressed.digest(), plain.digest(), compressed.n
	return l, nil
}

func (l *layer) tar(ctx context.Context, w io.Writer) error {
	root, err := os.OpenRoot(l.path)
	if err != nil {
		return err
	}
	defer root.Close()
	return writeTar(ctx, root, l.prefix, w)
}

func (l *layer) Digest() (v1.Hash, error)             { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)             { return l.diffID, nil }
func (l *layer) Size() (int64, error)                 { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error)  { return types.OCILayer, nil }
func (l *layer) Uncompressed() (io.ReadCloser, error) { return l.stream(l.diffID, l.tar), nil }
func (l *layer) Compressed() (io.ReadCloser, error) {
	return l.stream(l.digest, func(ctx context.Context, w io.Writer) error {
		zw := gzip.NewWriter(w)
		if err := l.tar(ctx, zw); err != nil {
			return err
		}
		return zw.Close()
	}), nil
}

// stream gives what write writes, and fails at the end unless it has the digest
// that was promised. Closing it ends and waits for the goroutine that writes.
func (l *layer) stream(want v1.Hash, write func(context.Context, io.Writer) error) io.ReadCloser {
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		sum := newCounter()
		err := write(ctx, io.MultiWriter(sum, w))
		if err == nil && sum.digest() != want {
			err = errChanged
		}
		if err != nil {
			err = fmt.Errorf("read folder %s: %w", l.path, err)
		}
		_ = w.CloseWithError(err) // always nil
	}()
	return &stream{r, cancel, done}
}

type stream struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   <-chan struct{}
}

func (s *stream) Close() error {
	s.cancel()
	err := s.PipeReader.Close()
	<-s.done
	return err
}

// counter hashes and counts what is written to it.
type counter struct {
	hash.Hash
	n int64
}

func newCounter() *counter { return &counter{Hash: sha256.New()} }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.Hash.Write(p)
}

func (c *counter) digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(c.Sum(nil))}
}
