package imagepush

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// writeTar writes a folder as a tar of the image's paths. Everything is opened
// below root: a link that somebody swaps in meanwhile leads nowhere else.
func writeTar(ctx context.Context, root *os.Root, prefix string, w io.Writer) error {
	t := &tarWriter{Writer: tar.NewWriter(w), root: root, prefix: prefix}
	if err := t.parents(); err != nil {
		return err
	}
	err := fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = t.add(name, e.Type())
		}
		return err
	})
	if err != nil {
		return err
	}
	return t.Close()
}

type tarWriter struct {
	*tar.Writer
	root   *os.Root
	prefix string
}

// parents writes the directories that lead to the prefix.
func (t *tarWriter) parents() error {
	for i, r := range t.prefix {
		if r == '/' {
			if err := t.directory(t.prefix[:i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tarWriter) add(name string, mode fs.FileMode) error {
	inside := path.Join(t.prefix, name)
	var err error
	switch mode {
	case fs.ModeDir:
		err = t.directory(inside)
	case fs.ModeSymlink:
		err = t.link(name, inside)
	case 0:
		err = t.file(name, inside)
	default:
		err = fmt.Errorf("is a %s: only files, directories and symbolic links can be pushed", kindOf(mode))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSocket != 0:
		return "socket"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	}
	return "device"
}

func (t *tarWriter) directory(inside string) error {
	name := strings.TrimPrefix(inside+"/", "./")
	if name == "" {
		name = "./" // the image's root: its mode counts too
	}
	return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: epoch.Time})
}

func (t *tarWriter) link(name, inside string) error {
	target, err := t.root.Readlink(name)
	if err != nil {
		return err
	}
	// Opening below root follows links and fails at the one that leads out. One
	// that leads nowhere, yet, is kept.
	if _, err := t.root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("is a symbolic link to %s that cannot be followed inside the folder: %w", target, err)
	}
	return t.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: inside, Linkname: target, Mode: 0o777, ModTime: epoch.Time})
}

func (t *tarWriter) file(name, inside string) error {
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errChanged
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: inside, Size: info.Size(), Mode: mode, ModTime: epoch.Time}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(t, f, info.Size())
	if errors.Is(err, io.EOF) {
		return errChanged // it became shorter
	}
	return err
}
