package socket

import "golang.org/x/sys/unix"

// bytesWaiting is how many bytes can be read at once.
func bytesWaiting(fd uintptr) int {
	n, _ := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	return n
}

// isConnected says whether a connection has not been reset.
func isConnected(fd uintptr) bool {
	_, err := unix.Getpeername(int(fd))
	return err == nil
}
