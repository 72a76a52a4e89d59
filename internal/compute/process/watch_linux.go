package process

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// awaitExit blocks until the process has ended or ctx has. Waiting on a pidfd
// parks a goroutine in the runtime's poller: no thread, no polling, and it works
// for processes that are not children.
func awaitExit(ctx context.Context, id identity) error {
	fd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil { // before Linux 5.10, or none to spare
		return pollExit(ctx, id, 100*time.Millisecond)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	// The descriptor is of whatever process has the pid now.
	if !id.alive(id.Boot) {
		return nil
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return pollExit(ctx, id, 100*time.Millisecond)
	}
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := conn.Read(ended); err != nil && ctx.Err() == nil {
		return pollExit(ctx, id, 100*time.Millisecond)
	}
	return ctx.Err()
}

// ended reports whether a pidfd is readable: its process has ended.
func ended(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0
}
