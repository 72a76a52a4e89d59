package disk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Remove removes an instance's folder: gone from its place at once, then
// deleted. What could not be deleted, or what a cancelled ctx left, stays in the
// trash, is reported, and is tried again by every Sweep.
func (s *Store) Remove(ctx context.Context, instanceDir string) error {
	if err := s.discardTree(ctx, instanceDir); err != nil {
		return fmt.Errorf("remove %s: %w", filepath.Base(instanceDir), err)
	}
	return nil
}

// discard is discardTree for what must go whoever still waits.
func (s *Store) discard(dir string) error { return s.discardTree(context.Background(), dir) }

func (s *Store) discardTree(ctx context.Context, dir string) error {
	trash, err := s.throw(dir)
	if err != nil || trash == "" {
		return err
	}
	return s.delete(ctx, trash)
}

// delete deletes a folder in the trash, unless that is already being done.
func (s *Store) delete(ctx context.Context, trash string) error {
	s.mu.Lock()
	busy := s.deleting[trash]
	s.deleting[trash] = true
	s.mu.Unlock()
	if busy {
		return nil
	}
	err := deleteTree(ctx, trash)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.deleting, trash)
	return err
}

// throw moves dir to the trash; "" when it is not there.
func (s *Store) throw(dir string) (string, error) {
	if err := s.makeFolders(); err != nil {
		return "", err
	}
	trash := filepath.Join(s.trashDir(), s.fresh())
	err := os.Rename(dir, trash)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, unix.EXDEV):
		return dir, nil // another file system: deleted where it is
	}
	return trash, err
}

// deleteTree deletes dir and what is in it, which a workload may have made to
// hurt: folders without permissions, nested a hundred thousand deep, with
// millions of names. It neither recurses nor holds more than three descriptors:
// a folder within a folder is moved up until there is only one level. Links are
// never followed. What cannot be removed (an immutable file, a mount) is left
// and reported by the first of its kind.
func deleteTree(ctx context.Context, dir string) error {
	// The prefix cannot be guessed: a name that is there would be in the way.
	d := deleter{ctx: ctx, prefix: rand.Text(), stuck: map[string]bool{}}
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return os.Remove(dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	if d.top, err = os.Open(dir); err != nil {
		return err
	}
	defer d.top.Close()
	d.run()
	if len(d.stuck) > 0 {
		return fmt.Errorf("%d entries of %s cannot be deleted, first: %w", len(d.stuck), dir, d.first)
	}
	if d.first != nil {
		return d.first
	}
	return os.Remove(dir)
}

type deleter struct {
	ctx    context.Context
	prefix string // of folders moved up
	top    *os.File
	moved  int
	stuck  map[string]bool // names in top that are left
	first  error
}

// run empties top until a pass finds nothing that is not stuck.
func (d *deleter) run() {
	for again := true; again; {
		again = false
		if _, err := d.top.Seek(0, io.SeekStart); err != nil {
			d.fail("", err)
			return
		}
		for name := range names(d.top) {
			if d.ctx.Err() != nil {
				d.fail("", d.ctx.Err())
				return
			}
			if !d.stuck[name] {
				again = true
				d.clear(name)
			}
		}
	}
}

// clear removes one name of top; a folder loses its files, its folders move up.
func (d *deleter) clear(name string) {
	top := int(d.top.Fd())
	err := unix.Unlinkat(top, name, 0)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return
	}
	dir, derr := openDir(top, name)
	if derr != nil {
		d.fail(name, errors.Join(err, derr))
		return
	}
	defer dir.Close()
	for child := range names(dir) {
		if err := d.lift(dir, child); err != nil {
			d.fail(name, fmt.Errorf("%s/%s: %w", name, child, err))
		}
	}
	if d.stuck[name] {
		return
	}
	// Names may be missed while their folder shrinks: then another pass has it.
	if err := unix.Unlinkat(top, name, unix.AT_REMOVEDIR); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		d.fail(name, err)
	}
}

// lift removes a child of dir, or moves it to top when it is a folder.
func (d *deleter) lift(dir *os.File, child string) error {
	from := int(dir.Fd())
	err := unix.Unlinkat(from, child, 0)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if unix.Unlinkat(from, child, unix.AT_REMOVEDIR) == nil {
		return nil
	}
	sub, derr := openDir(from, child) // which makes it writable, as moving it needs
	if derr != nil {
		return errors.Join(err, derr)
	}
	sub.Close()
	d.moved++
	return unix.Renameat(from, child, int(d.top.Fd()), fmt.Sprintf("%s-%d", d.prefix, d.moved))
}

func (d *deleter) fail(name string, err error) {
	if d.first == nil {
		d.first = err
	}
	if name != "" {
		d.stuck[name] = true
	}
}

// openDir opens a folder, never a link, and makes it ours to read and write.
func openDir(parent int, name string) (*os.File, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(parent, name, flags, 0)
	if errors.Is(err, unix.EACCES) {
		// Only a folder of our own user can be in the way like this; one that
		// was swapped for a link meanwhile is not opened below.
		if err = unix.Fchmodat(parent, name, 0o700, 0); err == nil {
			fd, err = unix.Openat(parent, name, flags, 0)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Fchmod(fd, 0o700); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// names yields the names in a folder, a thousand at a time.
func names(dir *os.File) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			batch, err := dir.Readdirnames(1000)
			for _, name := range batch {
				if !yield(name) {
					return
				}
			}
			if err != nil || len(batch) == 0 {
				return
			}
		}
	}
}

// sweepTrash deletes what earlier removals and another life's work left.
func (s *Store) sweepTrash(ctx context.Context) error {
	var errs []error
	work, err := os.ReadDir(s.workDir())
	errs = append(errs, err)
	for _, e := range work {
		if !strings.HasPrefix(e.Name(), s.life+"-") {
			errs = append(errs, deleteTree(ctx, filepath.Join(s.workDir(), e.Name())))
		}
	}
	trash, err := os.ReadDir(s.trashDir())
	errs = append(errs, err)
	for _, e := range trash {
		errs = append(errs, s.delete(ctx, filepath.Join(s.trashDir(), e.Name())))
	}
	return errors.Join(errs...)
}
