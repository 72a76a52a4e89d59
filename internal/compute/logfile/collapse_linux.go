package logfile

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// collapse takes the first n bytes out of the file. The kernel does it under the
// lock that appending takes too: a writer sees the file before or after.
func collapse(f *os.File, n int64) error {
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, n)
	for _, cannot := range []error{unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL} {
		if errors.Is(err, cannot) {
			return fmt.Errorf("%w: %w", err, errors.ErrUnsupported)
		}
	}
	return err
}

// alignDown rounds to whole blocks, the only pieces that can be taken out.
func alignDown(n int64, f *os.File) int64 {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil || st.Bsize <= 0 {
		return n
	}
	return n - n%int64(st.Bsize)
}
