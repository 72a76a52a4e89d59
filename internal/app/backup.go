package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
	t := newArchive(w)
	if err := t.addFile(copied, backupDocuments); err != nil {
		return err
	}
	for _, name := range []string{dirKeys, dirACME, dirRegistry} {
		if err := t.addTree(ctx, a.o.Data, name); err != nil {
			return err
		}
	}
	return t.close()
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
	if err := extract(ctx, root, f); err != nil {
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
