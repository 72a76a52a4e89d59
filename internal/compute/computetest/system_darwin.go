package computetest

import "golang.org/x/sys/unix"

// adoptOrphans: macOS has no such thing; its init takes them and waits for them.
func adoptOrphans() error { return nil }

// alive reports whether the process runs; a zombie doesn't.
func alive(pid int) bool {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	const zombie = 5 // SZOMB of <sys/proc.h>
	return err == nil && int(k.Proc.P_pid) == pid && k.Proc.P_stat != zombie
}
