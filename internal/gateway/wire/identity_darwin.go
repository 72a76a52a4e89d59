package wire

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const zombie = 5 // SZOMB of sys/proc.h

func bootID() (string, error) { return unix.Sysctl("kern.bootsessionuuid") }

// startOf reads when a process began and whether it has ended.
func startOf(pid int) (start string, ended bool, err error) {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return "", false, err
	}
	t := p.Proc.P_starttime
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec), p.Proc.P_stat == zombie, nil
}

func peerPID(c *net.UnixConn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if n, err := unix.GetsockoptInt(int(fd), unix.SOL_LOCAL, unix.LOCAL_PEERPID); err == nil {
			pid = n
		}
	})
	return pid
}

// OwnProgram is ProgramAt of the file that this process was started from. It is to
// be asked for at once, before another one takes its place.
func OwnProgram() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return ProgramAt(path)
}
