package identity

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxSecretFile bounds what is read of a file that should hold a small secret.
const maxSecretFile = 64 << 10

// writeSecret replaces a file with one of mode 0600, whole or not at all, and
// returns once file and name are on disk. What a crash leaves is a .tmp that the
// next write removes.
func writeSecret(path string, content []byte) (err error) {
	tmp := path + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what an earlier write left: %w", err)
	}
	// O_EXCL: the mode is ours from the first instant, and no link is followed.
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// errUntrusted says why a file cannot be taken for a secret of ours.
type errUntrusted struct{ reason string }

func (e errUntrusted) Error() string { return e.reason }

// readFile reads a small regular file; neither a link nor a device is followed or waited for.
func readFile(path string) ([]byte, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, nil, errUntrusted{"is a symbolic link"}
	}
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errUntrusted{"is not a regular file"}
	}
	content, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	return content, info, err
}

// private reports why a file may have been read by others, if so.
func private(info fs.FileInfo) error {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		return errUntrusted{"belongs to another user"}
	}
	if loose := info.Mode().Perm() &^ 0o600; loose != 0 {
		return errUntrusted{fmt.Sprintf("has mode %04o instead of 0600", info.Mode().Perm())}
	}
	return nil
}
