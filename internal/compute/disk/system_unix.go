//go:build unix

package disk

import "golang.org/x/sys/unix"

// freeSpace is what an ordinary user may still write, and the size of the whole file system.
func freeSpace(dir string) (free, size int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}
