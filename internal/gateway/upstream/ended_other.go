//go:build !linux

package upstream

import (
	"errors"

	"golang.org/x/sys/unix"
)

func ended(pid int) bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) }
