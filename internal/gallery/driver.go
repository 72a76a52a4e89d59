package gallery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"

	"github.com/droverhq/drover/internal/resource"
)

// driverName is how distribution's application finds the driver: by a name in a
// table of factories. The factory hands out the driver in its parameters.
const (
	driverName  = "drover"
	driverParam = "driver"
)

func init() { factory.Register(driverName, handOut{}) }

type handOut struct{}

func (handOut) Create(_ context.Context, parameters map[string]any) (storagedriver.StorageDriver, error) {
	d, ok := parameters[driverParam].(*durable)
	if !ok {
		return nil, errors.New("the driver is missing from its parameters")
	}
	return d, nil
}

// durable is distribution's file system driver with what it lacks for a promise
// to hold after a power cut: it syncs the folders that a file was created in, moved
// to or deleted from, and the folders above that were made on the way. It also
// keeps the last of the disk free.
type durable struct {
	storagedriver.StorageDriver
	root  string
	space space

	mu sync.Mutex // held while folders are made: one that can be seen is on disk
}

func newDriver(root string) (*durable, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	space, err := newSpace(root)
	if err != nil {
		return nil, err
	}
	// A folder that an earlier process made may not have been synced before it ended.
	if err := syncAll(root); err != nil {
		return nil, fmt.Errorf("sync %s: %w", root, err)
	}
	inner := filesystem.New(filesystem.DriverParameters{RootDirectory: root, MaxThreads: 100})
	return &durable{StorageDriver: inner, root: root, space: space}, nil
}

func (d *durable) Name() string { return driverName }

func (d *durable) full(path string) string { return filepath.Join(d.root, path) }

func (d *durable) PutContent(ctx context.Context, path string, content []byte) error {
	if err := d.makeParent(path); err != nil {
		return noted(ctx, err)
	}
	return noted(ctx, d.StorageDriver.PutContent(ctx, path, content))
}

func (d *durable) Writer(ctx context.Context, path string, appending bool) (storagedriver.FileWriter, error) {
	if err := d.makeParent(path); err != nil {
		return nil, noted(ctx, err)
	}
	w, err := d.StorageDriver.Writer(ctx, path, appending)
	if err != nil {
		return nil, noted(ctx, err)
	}
	return &boundedWriter{FileWriter: w, ctx: ctx, space: d.space}, nil
}

// Move is how an upload becomes a blob. The file was synced when it was committed.
func (d *durable) Move(ctx context.Context, from, to string) error {
	if err := d.makeParent(to); err != nil {
		return noted(ctx, err)
	}
	if err := d.StorageDriver.Move(ctx, from, to); err != nil {
		return noted(ctx, err)
	}
	return noted(ctx, syncDir(filepath.Dir(d.full(to))))
}

func (d *durable) Delete(ctx context.Context, path string) error {
	if err := d.StorageDriver.Delete(ctx, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(d.full(path)))
}

func (d *durable) makeParent(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return makeDir(filepath.Dir(d.full(path)))
}

// makeDir makes a folder and those above it, and syncs the one above each that it made.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil
	case errors.Is(err, os.ErrNotExist):
		if err := makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	case err != nil:
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil // deleted together with what was in it
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// boundedWriter stops before the disk is full or a blob too large, and notes
// when the disk is full all the same.
type boundedWriter struct {
	storagedriver.FileWriter
	ctx     context.Context
	space   space
	written int64 // since the space was last looked at
}

const (
	checkEvery = 4 << 20 // how much is written between two looks at the free space
	maxBlob    = 64 << 30
)

var errTooLarge = resource.Errorf(resource.CodeTooLarge, "a layer has at most %d bytes", int64(maxBlob))

func (w *boundedWriter) Write(p []byte) (int, error) {
	if w.Size()+int64(len(p)) > maxBlob {
		return 0, noted(w.ctx, errTooLarge)
	}
	if w.written += int64(len(p)); w.written >= checkEvery {
		w.written = 0
		if err := w.space.admit(0); err != nil {
			return 0, noted(w.ctx, err)
		}
	}
	n, err := w.FileWriter.Write(p)
	return n, noted(w.ctx, err)
}

func (w *boundedWriter) Commit(ctx context.Context) error {
	return noted(w.ctx, w.FileWriter.Commit(ctx))
}

func (w *boundedWriter) Close() error { return noted(w.ctx, w.FileWriter.Close()) }

// note is why a request's writes were stopped. Distribution drops or rewords the
// errors of its driver; the note stays.
type note struct{ atomic.Pointer[resource.Error] }

type noteKey struct{}

func withNote(ctx context.Context) (context.Context, *note) {
	n := new(note)
	return context.WithValue(ctx, noteKey{}, n), n
}

func noted(ctx context.Context, err error) error {
	n, ok := ctx.Value(noteKey{}).(*note)
	if !ok || err == nil {
		return err
	}
	cause := err
	if wrapped, ok := errors.AsType[storagedriver.Error](err); ok {
		cause = wrapped.Detail
	}
	switch coded, ok := errors.AsType[*resource.Error](cause); {
	case ok:
		n.Store(coded)
	case errors.Is(cause, syscall.ENOSPC) || errors.Is(cause, syscall.EDQUOT):
		n.Store(errNoSpace)
	}
	return err
}
