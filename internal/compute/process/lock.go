package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const lockFile = "lock"

// errBusy: somebody holds the instance's lock, a launcher most likely.
var errBusy = errors.New("the instance is being started or stopped by another process")

// tryLock takes the lock of an instance's folder. The lock belongs to the open
// file, not to a process: a launcher inherits it from the Drover that starts
// it, so there is no moment at which nobody holds it while a start goes on,
// and exec closes it. It ends with the last descriptor, however that ends.
func tryLock(dir string) (*os.File, error) {
	name := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, unix.EROFS) {
		f, err = os.Open(name) // a disk that failed: what runs on it can still be stopped
	}
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	err = retryInterrupted(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errBusy
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	// Whoever removed the folder held the lock of a file that is no longer there.
	if !samePath(f, name) {
		f.Close()
		return nil, errBusy
	}
	return f, nil
}

func samePath(f *os.File, name string) bool {
	held, err1 := f.Stat()
	there, err2 := os.Stat(name)
	return err1 == nil && err2 == nil && os.SameFile(held, there)
}

// takeLock waits for the lock until ctx ends.
func takeLock(ctx context.Context, dir string) (*os.File, error) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		f, err := tryLock(dir)
		if !errors.Is(err, errBusy) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

func retryInterrupted(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
