package socket

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Lot waits for many connections at once, without a goroutine for each.
type Lot struct {
	epoll int
	file  *os.File // of epoll: the runtime waits for it as for any other
	raw   syscall.RawConn

	mu      sync.Mutex
	waiting map[int]func() // by descriptor
}

// NewLot makes a Lot. Run has to follow.
func NewLot() (*Lot, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	l := &Lot{epoll: fd, file: os.NewFile(uintptr(fd), "epoll"), waiting: map[int]func(){}}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		_ = l.file.Close()
		return nil, fmt.Errorf("wait for an epoll descriptor: %w", err)
	}
	return l, nil
}

// Park has wake called once: when something comes on c, or its end, or by Wake.
// Nobody may read c before that.
func (l *Lot) Park(c *Conn, wake func()) error {
	fd, err := c.descriptor()
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(fd)}
	how := unix.EPOLL_CTL_ADD
	if c.parked {
		how = unix.EPOLL_CTL_MOD // it stays there until it is closed
	}
	if err := unix.EpollCtl(l.epoll, how, fd, &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	c.parked = true
	l.waiting[fd] = wake
	return nil
}

// Wake wakes c, if it is parked.
func (l *Lot) Wake(c *Conn) {
	if fd, err := c.descriptor(); err == nil {
		l.wake(fd)
	}
}

// Forget ends what Park left behind, before c is closed here while another process
// has it: it would be told of for as long as that lives. c is not parked.
func (l *Lot) Forget(c *Conn) {
	if fd, err := c.descriptor(); err == nil && c.parked {
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, fd, nil)
		c.parked = false
	}
}

func (l *Lot) wake(fd int) {
	l.mu.Lock()
	wake := l.waiting[fd]
	delete(l.waiting, fd)
	l.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// Run wakes connections until Close.
func (l *Lot) Run() {
	events := make([]unix.EpollEvent, 128)
	_ = l.raw.Read(func(fd uintptr) bool {
		for {
			n, err := unix.EpollWait(int(fd), events, 0)
			if n <= 0 && err != unix.EINTR {
				return false
			}
			for _, e := range events[:max(n, 0)] {
				l.wake(int(e.Fd)) // one that was closed meanwhile wakes who has its number now: no harm
			}
		}
	})
}

// Close ends Run. What is parked is not woken.
func (l *Lot) Close() { _ = l.file.Close() }
