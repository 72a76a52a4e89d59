package disk

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	maxNames  = 256 << 20 // bytes of all names of a layer: they are held in memory
	zstdLimit = 128 << 20 // memory one zstd stream may ask for
	perEntry  = 8 << 10   // of tar around a file's content, generously
)

// unpacker writes the contents of one layer's files to dir, under numbers. The
// names that the layer gives never reach the file system here.
type unpacker struct {
	dir     string
	entries int   // that may still come
	bytes   int64 // of content that may still come
	names   int
	m       manifest
	margin  func(need int64) error // refuses when the file system has no room
}

// unpack reads a whole layer as tar, plain or packed with gzip or zstd, to its very end.
func (u *unpacker) unpack(ctx context.Context, blob io.Reader) error {
	plain, closer, err := decompress(blob)
	if err != nil {
		return err
	}
	defer closer()
	bounded := &bombGuard{r: plain, left: u.bytes + int64(u.entries)*perEntry}
	sum := sha256.New()
	stream := io.TeeReader(contextReader{ctx, bounded}, sum)
	if err := u.walk(tar.NewReader(stream)); err != nil {
		return err
	}
	// What follows the archive's end belongs to the layer's digest.
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return malformed(err)
	}
	u.m.DiffID = fmt.Sprintf("sha256:%x", sum.Sum(nil))
	return nil
}

func (u *unpacker) walk(t *tar.Reader) error {
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return malformed(err)
		}
		if u.entries--; u.entries < 0 {
			return refusal(h.Name, "the layer holds too many entries")
		}
		if err := u.one(h, t); err != nil {
			return err
		}
	}
}

func (u *unpacker) one(h *tar.Header, body io.Reader) error {
	e, ok, err := newEntry(h)
	if err != nil || !ok {
		return err
	}
	if u.names += len(e.Name) + len(e.Link); u.names > maxNames {
		return refusal(h.Name, "the layer's names need more than %d MiB", maxNames>>20)
	}
	u.m.Dropped.count(h)
	if e.Kind == kindFile {
		if err := u.content(&e, body); err != nil {
			return fmt.Errorf("unpack %q: %w", e.Name, err)
		}
	}
	u.m.Entries = append(u.m.Entries, e)
	return nil
}

func (u *unpacker) content(e *entry, body io.Reader) error {
	if e.Size < 0 || e.Size > u.bytes {
		return refusal(e.Name, "the image's files are larger than allowed")
	}
	u.bytes -= e.Size
	u.m.Bytes += e.Size
	if err := u.margin(e.Size); err != nil {
		return err
	}
	e.File = u.m.Files
	u.m.Files++
	f, err := createFile(filepath.Join(u.dir, fileName(e.File)))
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, sum), archived{body}); err != nil {
		return err
	}
	sum.Sum(e.Sum[:0])
	return finishFile(f, e)
}

// fileName is where file n is in a cached layer. A thousand to a folder keeps every file system fast.
func fileName(n int) string { return fmt.Sprintf("%03d/%d", n/1000, n) }

// createFile makes a new file for content that is shared: it is never followed or truncated.
func createFile(name string) (*os.File, error) {
	const flags = os.O_CREATE | os.O_EXCL | os.O_RDWR
	f, err := os.OpenFile(name, flags, 0o600)
	if !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	if err := os.Mkdir(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(name, flags, 0o600)
}

// finishFile gives a file its mode and time and closes it.
func finishFile(f *os.File, e *entry) error {
	if err := f.Chmod(e.perm()); err != nil {
		return err
	}
	when := time.Unix(0, e.ModTime)
	if err := os.Chtimes(f.Name(), when, when); err != nil {
		return err
	}
	return f.Close()
}

// decompress looks at the first bytes, as media types lie more often.
func decompress(blob io.Reader) (io.Reader, func(), error) {
	r := bufio.NewReaderSize(blob, 64<<10)
	head, err := r.Peek(4)
	if err != nil && err != io.EOF {
		return nil, nil, malformed(err)
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, malformed(err)
		}
		return z, func() { z.Close() }, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(zstdLimit), zstd.WithDecoderMaxWindow(zstdLimit))
		if err != nil {
			return nil, nil, malformed(err)
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

// malformed marks an error of reading the archive. When the bytes are the right
// ones (unpackBlob looks at their digest first) it is the archive that is wrong.
func malformed(err error) error {
	if errors.Is(err, ErrRefused) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("read the layer: %w: %w", err, ErrRefused)
}

// archived tells errors of reading a file's content from those of writing it.
type archived struct{ r io.Reader }

func (a archived) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if err != nil && err != io.EOF {
		err = malformed(err)
	}
	return n, err
}

// bombGuard ends a stream that goes on for longer than any honest one.
type bombGuard struct {
	r    io.Reader
	left int64
}

func (b *bombGuard) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the layer unpacks to more than allowed: %w", ErrRefused)
	}
	return n, err
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
