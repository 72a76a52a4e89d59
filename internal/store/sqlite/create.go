package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Create makes a file that holds c, reads it back and puts it at path, replacing
// what is there. A crash leaves path as it was, or as it is to be.
func Create(ctx context.Context, path string, c Contents) error {
	tmp := path + ".tmp"
	if err := create(ctx, tmp, c); err != nil {
		return errors.Join(fmt.Errorf("make %s: %w", path, err), discard(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

func create(ctx context.Context, tmp string, c Contents) error {
	if err := discard(tmp); err != nil { // left by a crash
		return err
	}
	if err := private(tmp); err != nil {
		return err
	}
	if err := writeWhole(ctx, tmp, c); err != nil {
		return err
	}
	if err := syncFile(tmp); err != nil {
		return err
	}
	back, err := Read(ctx, tmp)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if !same(c, back) {
		return fmt.Errorf("read back: %w: it does not hold what was written", ErrDamaged)
	}
	return nil
}

func writeWhole(ctx context.Context, path string, c Contents) (err error) {
	f, err := open(ctx, path, whole)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.prepare(ctx); err != nil {
		return err
	}
	if err := f.transact(ctx, func() error {
		return f.write(ctx, Batch{Head: c.Head, Documents: c.Documents, Bookings: c.Bookings})
	}); err != nil {
		return err
	}
	return f.exec(ctx, "PRAGMA journal_mode = WAL")
}

// Read reads a whole file that nobody writes: a snapshot or a backup. One that
// is damaged in any row is damaged.
func Read(ctx context.Context, path string) (c Contents, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return Contents{}, err
	}
	if !info.Mode().IsRegular() {
		return Contents{}, fmt.Errorf("read %s: %w: it is no file (%s)", path, ErrDamaged, info.Mode())
	}
	f, err := open(ctx, path, readOnly)
	if err != nil {
		return Contents{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.readHead(ctx); err != nil {
		return Contents{}, fmt.Errorf("read %s: %w", path, err)
	}
	c, err = f.Load(ctx)
	if err == nil && len(c.Damaged) > 0 {
		err = fmt.Errorf("read %s: %w: %d rows have a wrong checksum", path, ErrDamaged, len(c.Damaged))
	}
	return c, err
}

func same(a, b Contents) bool {
	return a.Head == b.Head &&
		slices.EqualFunc(a.Documents, b.Documents, func(x, y Row) bool {
			return x.Kind == y.Kind && x.Name == y.Name && x.Revision == y.Revision && string(x.Body) == string(y.Body)
		}) && slices.Equal(a.Bookings, b.Bookings)
}

func discard(path string) error {
	var errs []error
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// private makes an empty file, which is a valid empty database, that only the owner may read.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}
