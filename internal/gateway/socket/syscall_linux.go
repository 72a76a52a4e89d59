package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sockets of the runtime never block, so that neither call keeps a processor from
// other goroutines for longer than the kernel works for us: the scheduler need not
// hear of them, which is a twentieth of what a small request costs.

func recv(fd uintptr, p []byte) (int, error) { return recvFrom(fd, p, 0) }

func peek(fd uintptr, p []byte) (int, error) { return recvFrom(fd, p, unix.MSG_PEEK) }

func recvFrom(fd uintptr, p []byte, flags uintptr) (int, error) {
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags|unix.MSG_DONTWAIT, 0, 0)
	return result(n, e)
}

func send(fd uintptr, p []byte) (int, error) {
	n, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return result(n, e)
}

func result(n uintptr, e syscall.Errno) (int, error) {
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// ended says whether the other end sends no more, whatever is unread.
func ended(fd uintptr) bool {
	look := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(look, 0)
	return err == nil && n > 0
}
