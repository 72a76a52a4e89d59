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

// copyRange writes n bytes of src from offset to the same offset of dst, synced.
func copyRange(dst string, src io.ReaderAt, offset, n int64) error {
	flags := os.O_CREATE | os.O_WRONLY
	if offset == 0 {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(dst, flags, 0o640)
	if err != nil {
		return err
	}
	w := io.NewOffsetWriter(f, offset)
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
	var last [1]byte
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return true
	}
	_, err = f.ReadAt(last[:], info.Size()-1)
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
