package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/internal/resource"
)

// lockWait is how long a process that was killed may take to be gone: its
// successor is often started at once.
const lockWait = time.Second

// LockFile is the file in a folder by which its server is known.
const LockFile = "lock"

// lock takes the folder for this process; one that another process has is an
// error with resource.CodeInUse. The kernel frees it when the process
// ends, however it ends; a child does not inherit it (Go opens files close-on-exec).
func lock(dir string) (*os.File, error) {
	f, err := tryLock(dir)
	for limit := time.Now().Add(lockWait); errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(limit); {
		time.Sleep(lockWait / 50)
		f, err = tryLock(dir)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, resource.Errorf(resource.CodeInUse, "%s is in use by the process with pid %s", dir, holder(dir))
	}
	if err != nil {
		return nil, err
	}
	if err := sign(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func tryLock(dir string) (*os.File, error) {
	name := filepath.Join(dir, LockFile)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, unix.EROFS) {
		f, err = os.Open(name) // a disk that failed: what runs on it can still be stopped
	}
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil && !inPlace(f) {
		err = unix.EWOULDBLOCK // who had it has removed it: the next one's lock is another file
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func inPlace(f *os.File) bool {
	held, err1 := f.Stat()
	there, err2 := os.Stat(f.Name())
	return err1 == nil && err2 == nil && os.SameFile(held, there)
}

func holder(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, LockFile))
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return pid
	}
	return "unknown" // it is just about to write it
}

// sign leaves the pid for whoever finds the folder locked. It is information
// only, so that a full disk does not keep the store from opening, nor one that can
// only be read what runs on it from being stopped.
func sign(f *os.File) error {
	err := f.Truncate(0)
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL) { // EINVAL: it is open for reading
		return nil
	}
	return err
}
