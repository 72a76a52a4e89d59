// Package hostfile opens files of the machine that documents name, so that neither
// a document nor whoever can write to a folder on the way reaches any other.
//
// Below a folder that the server was given with --host-path, links are followed as
// far as they stay below it. Anywhere else, where only an Owner may name a file, no
// link is followed at all. Nothing is opened in Drover's data folder. All of it is
// true of the file that was opened: a link that is put in place between a check and
// its use changes nothing. Nothing waits for a pipe's other end, or reads a device.
package hostfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/droverhq/drover/internal/resource"
)

var (
	errLink = errors.New("is a link, or behind one: links are only followed within a folder that was given with --host-path")
	errOut  = errors.New("leads out of the folder that was given with --host-path")
	errData = errors.New("is in Drover's own data folder: name a file elsewhere")
)

// Place is where a file is, or shall be: the folder that it may not leave, which is
// its own or one that was given with --host-path, and what it is called from there.
type Place struct {
	*os.Root
	Name string

	paths resource.HostPaths
	path  string
	links bool // they are followed, within Root
}

// Find looks for the place of a path, which must be valid in a document. The place is to be closed.
func Find(h resource.HostPaths, path string) (*Place, error) {
	p := &Place{paths: h, path: path}
	folder := h.Folder(path)
	var err error
	switch {
	case h.Holds(path):
		err = errData
	case folder != "":
		p.links = true
		if p.Name, err = filepath.Rel(folder, path); err == nil {
			p.Root, err = os.OpenRoot(folder)
		}
	default:
		folder = filepath.Dir(path)
		p.Name = filepath.Base(path)
		p.Root, err = withoutLinks(folder)
	}
	if err != nil {
		return nil, p.failed(err)
	}
	return p, nil
}

// failed says what is wrong with the path, without naming the system's call.
func (p *Place) failed(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = errors.New("does not exist, or its folder does not")
	case errors.Is(err, syscall.ENOTDIR):
		err = errors.New("has something else than a folder on the way")
	case errors.Is(err, syscall.ENXIO): // a pipe that nobody reads
		err = errNotRegular
	case strings.Contains(err.Error(), "path escapes from parent"): // os keeps that error for itself
		err = errOut
	}
	return fmt.Errorf("%s %w", p.path, err)
}

// withoutLinks opens a folder step by step from the top.
func withoutLinks(path string) (*os.Root, error) {
	at, err := os.OpenRoot("/")
	for step := range strings.SplitSeq(path, "/") {
		if step == "" || err != nil {
			continue
		}
		var next *os.Root
		next, err = enter(at, step)
		_ = at.Close()
		at = next
	}
	return at, err
}

// enter opens a folder in at, and makes sure that it is not what a link leads to.
func enter(at *os.Root, step string) (*os.Root, error) {
	next, err := at.OpenRoot(step)
	if err != nil {
		if seen, lerr := at.Lstat(step); lerr == nil && seen.Mode()&fs.ModeSymlink != 0 {
			err = errLink
		}
		return nil, err
	}
	got, err := next.Stat(".")
	if err == nil {
		err = same(at, step, got)
	}
	if err != nil {
		_ = next.Close()
		return nil, err
	}
	return next, nil
}

// same says whether a name is that of what was opened, and no link to it.
func same(at *os.Root, name string, opened fs.FileInfo) error {
	seen, err := at.Lstat(name)
	if err == nil && !os.SameFile(seen, opened) {
		err = errLink
	}
	return err
}

var errNotRegular = errors.New("is not a regular file")

// Open opens the file, which must be a regular one.
func (p *Place) Open(flag int, mode fs.FileMode) (*os.File, error) {
	f, err := p.OpenFile(p.Name, flag|syscall.O_NONBLOCK, mode)
	if errors.Is(err, syscall.EISDIR) {
		err = errNotRegular
	}
	if err != nil {
		return nil, p.failed(err)
	}
	if err := p.accept(f); err != nil {
		_ = f.Close()
		return nil, p.failed(err)
	}
	return f, nil
}

// accept looks at what was opened.
func (p *Place) accept(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errNotRegular
	case !p.links:
		err = same(p.Root, p.Name, info)
	}
	if err == nil {
		err = p.outside(info)
	}
	return err
}

// outside makes sure that a file is not in the data folder, whatever links led there.
func (p *Place) outside(opened fs.FileInfo) error {
	data, err := os.Stat(p.paths.Data)
	if p.paths.Data == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(p.path)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(real); err != nil || !os.SameFile(info, opened) {
		return errLink // it has been exchanged since
	}
	for real != "/" {
		real = filepath.Dir(real)
		info, err := os.Stat(real)
		if err != nil {
			return err
		}
		if os.SameFile(info, data) {
			return errData
		}
	}
	return nil
}

// Read is the content of a file of at most limit bytes.
func Read(h resource.HostPaths, path string, limit int64) ([]byte, error) {
	p, err := Find(h, path)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	f, err := p.Open(os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("is larger than %s", resource.Bytes(limit))
	}
	if err != nil {
		return nil, p.failed(err)
	}
	return content, nil
}

// Check says why a file could not be used if it had to be now, and changes nothing.
// made: it is to be written, and need not be there.
func Check(h resource.HostPaths, path string, made bool) error {
	p, err := Find(h, path)
	if err != nil {
		return err
	}
	defer p.Close()
	flag := os.O_RDONLY
	if made {
		flag = os.O_WRONLY
	}
	f, err := p.Open(flag, 0)
	if err == nil {
		return f.Close()
	}
	if _, lerr := p.Lstat(p.Name); made && errors.Is(lerr, fs.ErrNotExist) {
		return p.checkFolder()
	}
	return err
}

// checkFolder says why the file's folder cannot take one.
func (p *Place) checkFolder() error {
	info, err := p.Stat(filepath.Dir(p.Name))
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return p.failed(err)
	}
	return nil
}
