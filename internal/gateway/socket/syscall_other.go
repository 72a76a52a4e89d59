//go:build !linux

package socket

import "golang.org/x/sys/unix"

func recv(fd uintptr, p []byte) (int, error) {
	n, err := unix.Read(int(fd), p)
	return max(n, 0), err
}

func peek(fd uintptr, p []byte) (int, error) {
	n, _, err := unix.Recvfrom(int(fd), p, unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return max(n, 0), err
}

func send(fd uintptr, p []byte) (int, error) {
	n, err := unix.Write(int(fd), p)
	return max(n, 0), err
}

// ended is not known here while something is unread.
func ended(uintptr) bool { return false }
