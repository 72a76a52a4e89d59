package tcp

import "golang.org/x/sys/unix"

// waiting is how many bytes can be read at once.
func (e *end) waiting() (n int) {
	_ = e.raw.Control(func(fd uintptr) {
		n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	})
	return n
}

// connected says whether the connection has not been reset.
func (e *end) connected() bool {
	var err error
	if e.raw.Control(func(fd uintptr) { _, err = unix.Getpeername(int(fd)) }) != nil {
		return false
	}
	return err == nil
}
