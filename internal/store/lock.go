package store

import (
	"errors"
	"fmt"
	"io"
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

// lock takes the folder for this process; one that another process has is an
// error with resource.CodeInUse. The kernel frees it when the process
// ends, however it ends; a child does not inherit it (Go opens files close-on-exec).
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for limit := time.Now().Add(lockWait); errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(limit); {
		time.Sleep(lockWait / 50)
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = resource.Errorf(resource.CodeInUse, "%s is in use by the process with pid %s", dir, holder(f))
	}
	if err == nil {
		err = sign(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return pid
	}
	return "unknown" // it is just about to write it
}

// sign leaves the pid for whoever finds the folder locked. It is information
// only, so that a full disk does not keep the store from opening.
func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil && !errors.Is(err, unix.ENOSPC) {
		return err
	}
	return nil
}
