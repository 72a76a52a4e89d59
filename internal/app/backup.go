package app

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/droverhq/drover/internal/store"
)

// The names in a backup: the documents' database, the keys, the gallery.
const backupDocuments = "documents.db"

// backup writes a tar of documents, keys and gallery while all of them are in use.
// The documents come first: what is pushed meanwhile is found in the gallery by the
// restored server, which makes its documents again.
func (a *App) backup(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp(filepath.Join(a.o.Data, dirRun), backupPrefix)
	if err != nil {
		return fmt.Errorf("make a folder for the copy of the documents: %w", err)
	}
	defer os.RemoveAll(dir)
	copied := filepath.Join(dir, backupDocuments)
	if err := a.store.BackupTo(ctx, copied); err != nil {
		return err
	}
	t := tar.NewWriter(w)
	if err := addFile(t, copied, backupDocuments); err != nil {
		return err
	}
	for _, name := range []string{dirKeys, dirRegistry} {
		if err := addTree(ctx, t, a.o.Data, name); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return fmt.Errorf("finish the backup: %w", err)
	}
	return nil
}

const backupPrefix = "backup-"

// removeBackups removes the copies that a killed server was about to send.
func removeBackups(data string) error {
	left, err := filepath.Glob(filepath.Join(data, dirRun, backupPrefix+"*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

func addTree(ctx context.Context, t *tar.Writer, data, top string) error {
	return filepath.WalkDir(filepath.Join(data, top), func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // deleted while the tree was walked
		case err != nil:
			return fmt.Errorf("back up %s: %w", path, err)
		case ctx.Err() != nil:
			return ctx.Err()
		case e.IsDir() && e.Name() == "_uploads":
			return filepath.SkipDir // what is not pushed yet
		case !e.Type().IsRegular():
			return nil
		}
		name, err := filepath.Rel(data, path)
		if err != nil {
			return fmt.Errorf("back up %s: %w", path, err)
		}
		return addFile(t, path, filepath.ToSlash(name))
	})
}

func addFile(t *tar.Writer, path, name string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	// Files are replaced, never changed in place: this one is as long as it was.
	if _, err := io.CopyN(t, f, info.Size()); err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	return nil
}

// Restore fills an empty data folder from a backup. When it fails, the folder is
// left as empty as it was.
func Restore(ctx context.Context, data, file string) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	defer f.Close()
	release, err := takeEmpty(data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	defer func() {
		if err != nil {
			err = errors.Join(err, clear(data), os.Remove(filepath.Join(data, store.LockFile)))
		}
	}()
	// A crash leaves the mark, and no server starts on half of a backup.
	if err := os.WriteFile(filepath.Join(data, restoreMark), nil, 0o600); err != nil {
		return fmt.Errorf("mark the data folder: %w", err)
	}
	if err := makeFolders(data, os.Geteuid() == 0); err != nil {
		return err
	}
	root, err := os.OpenRoot(data)
	if err != nil {
		return fmt.Errorf("open the data folder: %w", err)
	}
	defer root.Close()
	if err := extract(ctx, root, tar.NewReader(f)); err != nil {
		return err
	}
	if err := root.Remove(restoreMark); err != nil {
		return fmt.Errorf("take the mark off the data folder: %w", err)
	}
	return syncFolders(root)
}

// restoreMark is there while a restore is not complete.
const restoreMark = "restoring"

// restored refuses a folder whose restore was interrupted.
func restored(data string) error {
	if _, err := os.Stat(filepath.Join(data, restoreMark)); err == nil {
		return fmt.Errorf("a restore into %s was interrupted: restore again, it begins anew", data)
	}
	return nil
}

// takeEmpty holds the folder for a restore, so that no server and no other restore
// uses it meanwhile. What an interrupted restore left is removed.
func takeEmpty(data string) (release func() error, err error) {
	// Before it is held: that leaves a file, and the folder may be anything.
	if err := empty(data); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if err := passable(data); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(data, 0o711); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if release, err = store.Hold(data); err != nil {
		return nil, err
	}
	// Again: another restore may have been here first.
	if err := empty(data); err != nil {
		return nil, errors.Join(err, release())
	}
	if restored(data) != nil {
		err = clear(data)
	}
	if err != nil {
		return nil, errors.Join(err, release())
	}
	return release, nil
}

// empty refuses a folder that holds something, but for what an interrupted
// restore left.
func empty(data string) error {
	entries, err := os.ReadDir(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look into the data folder: %w", err)
	}
	if restored(data) != nil {
		return nil
	}
	for _, e := range entries {
		if e.Name() != store.LockFile {
			return fmt.Errorf("the data folder %s is not empty: restore goes into an empty one", data)
		}
	}
	return nil
}

// clear empties the folder of all but its lock. The mark goes last: a crash
// before that leaves a folder that is cleared again.
func clear(data string) error {
	entries, err := os.ReadDir(data)
	for _, e := range entries {
		if e.Name() != store.LockFile && e.Name() != restoreMark {
			err = errors.Join(err, os.RemoveAll(filepath.Join(data, e.Name())))
		}
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(data, restoreMark))
}

func extract(ctx context.Context, root *os.Root, t *tar.Reader) error {
	documents := false
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF) && documents:
			return syncFolders(root)
		case errors.Is(err, io.EOF):
			return errors.New("this is no backup: it has no documents")
		case err != nil:
			return fmt.Errorf("read the backup: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		}
		if !backedUp(h) {
			return fmt.Errorf("this is no backup of Drover: it holds %s", h.Name)
		}
		documents = documents || h.Name == backupDocuments
		if err := extractFile(root, h.Name, t); err != nil {
			return fmt.Errorf("restore %s: %w", h.Name, err)
		}
	}
}

func backedUp(h *tar.Header) bool {
	return h.Typeflag == tar.TypeReg && (h.Name == backupDocuments ||
		strings.HasPrefix(h.Name, dirKeys+"/") || strings.HasPrefix(h.Name, dirRegistry+"/"))
}

func extractFile(root *os.Root, name string, r io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolders makes the names as lasting as the files.
func syncFolders(root *os.Root) error {
	return fs.WalkDir(root.FS(), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		d, err := root.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	})
}
