package app

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// backupSums is a backup's last file: what sha256sum prints of all the others. A
// backup that ends without it, or does not agree with it, is not restored.
const backupSums = "sha256sums"

// sums are those of a backup's files, in their order.
type sums struct{ bytes.Buffer }

func (s *sums) add(name string, sum hash.Hash) {
	fmt.Fprintf(s, "%x  %s\n", sum.Sum(nil), name)
}

// check compares with the sums that were written with the backup.
func (s *sums) check(written []byte) error {
	if bytes.Equal(s.Bytes(), written) {
		return nil
	}
	expected := map[string]bool{}
	for line := range strings.Lines(string(written)) {
		expected[line] = true
	}
	for line := range strings.Lines(s.String()) {
		if !expected[line] {
			_, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
			return fmt.Errorf("the backup is damaged: %s is not what was backed up", name)
		}
	}
	return errors.New("the backup is damaged: files are missing")
}

// archive is a backup being written.
type archive struct {
	tar  *tar.Writer
	sums sums
}

func newArchive(w io.Writer) *archive { return &archive{tar: tar.NewWriter(w)} }

func (a *archive) close() error {
	err := a.tar.WriteHeader(&tar.Header{Name: backupSums, Mode: 0o600, Size: int64(a.sums.Len())})
	if err == nil {
		_, err = a.tar.Write(a.sums.Bytes())
	}
	if err = errors.Join(err, a.tar.Close()); err != nil {
		return fmt.Errorf("finish the backup: %w", err)
	}
	return nil
}

func (a *archive) addTree(ctx context.Context, data, top string) error {
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
		return a.addFile(path, filepath.ToSlash(name))
	})
}

func (a *archive) addFile(path, name string) error {
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
	if err := a.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	// Files are replaced, never changed in place: this one is as long as it was.
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(a.tar, sum), f, info.Size()); err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	a.sums.add(name, sum)
	return nil
}

// extract restores all files of a backup. What it has restored counts only when it
// returns nil.
func extract(ctx context.Context, root *os.Root, r io.Reader) error {
	t := tar.NewReader(r)
	var found sums
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("this is no backup of Drover, or its end is missing")
		case err != nil:
			return fmt.Errorf("read the backup: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		case h.Name == backupSums:
			return finishExtract(root, t, &found)
		case !backedUp(h):
			return fmt.Errorf("this is no backup of Drover: it holds %s", h.Name)
		}
		sum := sha256.New()
		if err := extractFile(root, h.Name, io.TeeReader(t, sum)); err != nil {
			return fmt.Errorf("restore %s: %w", h.Name, err)
		}
		found.add(h.Name, sum)
	}
}

func finishExtract(root *os.Root, written io.Reader, found *sums) error {
	// As long as what was found, or it is different.
	text, err := io.ReadAll(io.LimitReader(written, int64(found.Len())+1))
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	if err := found.check(text); err != nil {
		return err
	}
	if !bytes.Contains(text, []byte("  "+backupDocuments+"\n")) {
		return errors.New("this is no backup: it has no documents")
	}
	return syncFolders(root)
}

func backedUp(h *tar.Header) bool {
	return h.Typeflag == tar.TypeReg && (h.Name == backupDocuments ||
		strings.HasPrefix(h.Name, dirKeys+"/") || strings.HasPrefix(h.Name, dirACME+"/") || strings.HasPrefix(h.Name, dirRegistry+"/"))
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
