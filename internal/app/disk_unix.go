//go:build unix

package app

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fileSystem is the room on the file system of a folder, for this user.
func fileSystem(path string) (free, size uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, fmt.Errorf("room on the file system of %s: %w", path, err)
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}
