package logfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Open opens the log in dir for a workload's stdout and stderr, making it when
// needed. Several processes may append to it; a line written by one write call
// stays whole.
func Open(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, fileName), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return f, nil
}

// copyRange writes n bytes of src from offset to dst at another, synced. At 0 it begins dst anew.
func copyRange(dst string, at int64, src io.ReaderAt, offset, n int64) error {
	flags := os.O_CREATE | os.O_WRONLY
	if at == 0 {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(dst, flags, 0o640)
	if err != nil {
		return err
	}
	w := io.NewOffsetWriter(f, at)
	copied, err := io.Copy(w, io.NewSectionReader(src, offset, n))
	if err == nil && copied < n {
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// size of a file; 0 when it is not there.
func size(name string) (int64, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// endsLine reports whether a file's last byte ends a line.
func endsLine(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return true
	}
	defer f.Close()
	info, err := f.Stat()
	return err != nil || lineEndsAt(f, info.Size())
}

// lineEndsAt reports whether a line ends before the offset, or nothing is before it.
func lineEndsAt(f io.ReaderAt, offset int64) bool {
	var last [1]byte
	_, err := f.ReadAt(last[:], offset-1)
	return err != nil || last[0] == '\n'
}

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
