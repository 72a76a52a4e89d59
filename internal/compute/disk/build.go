package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"crypto/sha256"
)

// frame makes the folders of an instance and clears what an interrupted Prepare left in them.
func (s *Store) frame(ctx context.Context, sp Spec) error {
	set := filepath.Dir(sp.InstanceDir)
	if err := makeDirs(set, 0o711); err != nil {
		return err
	}
	if _, err := s.makeDir(sp.InstanceDir, 0o750, 0, sp.GID); err != nil {
		return err
	}
	newData, err := s.makeDir(filepath.Join(sp.InstanceDir, dataName), 0o700, sp.UID, sp.GID)
	if err != nil {
		return err
	}
	if _, err := s.makeDir(filepath.Join(sp.InstanceDir, tmpName), 0o700, sp.UID, sp.GID); err != nil {
		return err
	}
	if newData {
		// What a workload syncs in data/ must not be lost because data/ itself is.
		if err := errors.Join(syncDir(sp.InstanceDir), syncDir(set)); err != nil {
			return err
		}
	}
	return s.clearParts(ctx, sp.InstanceDir)
}

func (s *Store) clearParts(ctx context.Context, dir string) error {
	parts, err := filepath.Glob(filepath.Join(globQuote(dir), partPrefix+"*"))
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := deleteTree(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// globQuote keeps a folder's own brackets and stars from meaning anything.
func globQuote(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// makeDirs makes a folder and its parents, whatever the umask; the modes of those that are there stay.
func makeDirs(dir string, mode fs.FileMode) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeDirs(filepath.Dir(dir), mode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // made by the Prepare of a sibling
		}
		return err
	}
	return errors.Join(os.Chmod(dir, mode), syncDir(filepath.Dir(dir)))
}

// makeDir makes one folder and sets mode and, as root, owner also when it is
// there: a crash may have come in between. Only data/ and tmp/ belong to the
// workload and it cannot put anything in their place.
func (s *Store) makeDir(dir string, mode fs.FileMode, uid, gid int) (made bool, err error) {
	err = os.Mkdir(dir, mode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	made = err == nil
	info, err := os.Lstat(dir)
	if err != nil {
		return made, err
	}
	if !info.IsDir() {
		return made, fmt.Errorf("%s is in the way: it is not a folder", dir)
	}
	if s.o.Root {
		if err := os.Lchown(dir, uid, gid); err != nil {
			return made, err
		}
	}
	return made, os.Chmod(dir, mode)
}

// replaceOS builds os/ beside the one that is there and exchanges them. A crash
// leaves the old one or the new one, and a part that the next frame clears.
// The marker goes first and comes last, so it never speaks of another os/.
func (s *Store) replaceOS(ctx context.Context, sp Spec, a *assembly) error {
	part := filepath.Join(sp.InstanceDir, partPrefix+s.fresh())
	if err := s.build(ctx, a.tree, part, sp.GID); err != nil {
		return errors.Join(err, deleteTree(context.WithoutCancel(ctx), part))
	}
	if err := os.Remove(filepath.Join(sp.InstanceDir, markerName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dst := filepath.Join(sp.InstanceDir, osName)
	old, err := s.swap(part, dst)
	if err != nil {
		return fmt.Errorf("put the new os/ in place: %w", err)
	}
	m := marker{Boot: bootID(), Disk: a.disk}
	if err := m.write(sp.InstanceDir, filepath.Join(sp.InstanceDir, partPrefix+s.fresh())); err != nil {
		return fmt.Errorf("write %s: %w", markerName, err)
	}
	if old == "" {
		return nil
	}
	return s.discard(old)
}

// swap puts part at dst. old is where what was there is now, or empty.
func (s *Store) swap(part, dst string) (old string, err error) {
	if _, err := os.Lstat(dst); errors.Is(err, fs.ErrNotExist) {
		return "", os.Rename(part, dst)
	}
	if err := exchange(part, dst); err == nil {
		return part, nil
	}
	// The file system cannot exchange: for a moment there is no os/, and no marker that says there is.
	old = filepath.Join(filepath.Dir(dst), partPrefix+s.fresh())
	if err := os.Rename(dst, old); err != nil {
		return "", err
	}
	return old, os.Rename(part, dst)
}

// build makes the tree's folders, links and files at dst, which must not exist.
func (s *Store) build(ctx context.Context, t *tree, dst string, gid int) error {
	if err := os.Mkdir(dst, 0o700); err != nil {
		return err
	}
	b := builder{ctx: ctx, margin: s.margin, share: s.o.Root, first: map[*content]string{}}
	if err := b.fill(t.root, dst); err != nil {
		return err
	}
	_, err := s.makeDir(dst, 0o750, 0, gid)
	return err
}

type builder struct {
	ctx    context.Context
	margin func(string, int64) error
	share  bool                // link files to the cache, else copy them
	first  map[*content]string // the first copy of a file that has several names
}

// fill makes the children of n in dir. Every name is made here, and making
// fails where something is: no path can lead through a link.
func (b *builder) fill(n *node, dir string) error {
	for name, child := range n.children {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if err := b.make(child, dir+"/"+name); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) make(n *node, dst string) error {
	switch {
	case n.isDir():
		if err := os.Mkdir(dst, 0o700); err != nil {
			return err
		}
		if err := b.fill(n, dst); err != nil {
			return err
		}
		return os.Chmod(dst, 0o755)
	case n.content == nil:
		return os.Symlink(n.link, dst)
	}
	return b.file(n.content, dst)
}

func (b *builder) file(c *content, dst string) error {
	if c.path == "" { // a mount point: no layer's file
		f, err := createFile(dst)
		if err != nil {
			return err
		}
		return finishFile(f, &c.entry)
	}
	if b.share {
		if err := os.Link(c.path, dst); err == nil || !mustCopy(err) {
			return err
		}
	}
	if first, ok := b.first[c]; ok {
		return os.Link(first, dst)
	}
	if c.links > 1 {
		b.first[c] = dst
	}
	return b.copy(c, dst)
}

// mustCopy: too many links to one file, another file system, or one without
// links; or the file is gone, which copying reports as damage of the cache.
func mustCopy(err error) bool {
	for _, target := range []error{syscall.EMLINK, syscall.EXDEV, syscall.EPERM, syscall.ENOTSUP, syscall.ENOENT} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// copy copies a file of the cache, by reference where the file system can,
// and checks what came out: who could write to the cache could have changed it.
func (b *builder) copy(c *content, dst string) error {
	src, err := os.Open(c.path)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	defer src.Close()
	if err := b.margin(filepath.Dir(dst), c.Size); err != nil {
		return err
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if cloneFile(out, src) == nil {
		err = sameContent(out, &c.entry)
	} else {
		err = copyContent(out, src, &c.entry)
	}
	if err != nil {
		return err
	}
	return finishFile(out, &c.entry)
}

func copyContent(out, src *os.File, e *entry) error {
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(src, e.Size+1)); err != nil {
		return err
	}
	if [32]byte(sum.Sum(nil)) != e.Sum {
		return fmt.Errorf("the content of %q is not what was unpacked: %w", e.Name, ErrCorrupt)
	}
	return nil
}

// matches compares what is at name with the node, every byte of it.
func (n *node) matches(ctx context.Context, name string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case n.content != nil:
		return verifyFile(name, &n.content.entry)
	case !n.isDir():
		if text, err := os.Readlink(name); err != nil || text != n.link {
			return fmt.Errorf("%s is not the link it was: %w", name, ErrCorrupt)
		}
		return nil
	}
	there, err := os.ReadDir(name)
	if err != nil {
		return err
	}
	if len(there) != len(n.children) {
		return fmt.Errorf("%s does not hold what it held: %w", name, ErrCorrupt)
	}
	for base, child := range n.children {
		if err := child.matches(ctx, name+"/"+base); err != nil {
			return err
		}
	}
	return nil
}

// margin refuses, with ENOSPC, what would fill the file system to its end: the
// last of it belongs to Drover's own records and to what already runs.
func margin(dir string, need int64) error {
	free, size, err := freeSpace(dir)
	if err != nil {
		return fmt.Errorf("look at the free space of %s: %w", dir, err)
	}
	keep := min(64<<20, size/16)
	if need > free-keep {
		return fmt.Errorf("%d bytes are needed, %d are free, %d of which are kept: %w", need, free, keep, syscall.ENOSPC)
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
