package process

import (
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of <sys/proc.h>.
const zombie = 5

// bootID changes with every start of the machine.
func bootID() (string, error) {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return "", fmt.Errorf("read the id of this boot: %w", err)
	}
	return id, nil
}

// readProc tells of one process; an error that is fs.ErrNotExist: there is none.
func readProc(pid int) (proc, error) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(k.Proc.P_pid) != pid {
		return proc{}, fmt.Errorf("read process %d: %w", pid, fs.ErrNotExist)
	}
	return fromKinfo(k), nil
}

func fromKinfo(k *unix.KinfoProc) proc {
	p := proc{
		pid: int(k.Proc.P_pid), parent: int(k.Eproc.Ppid), uid: int(k.Eproc.Pcred.P_ruid),
		start: uint64(k.Proc.P_starttime.Sec)*1_000_000 + uint64(k.Proc.P_starttime.Usec),
		dead:  k.Proc.P_stat == zombie,
	}
	if sid, err := unix.Getsid(p.pid); err == nil {
		p.session = sid
	}
	return p
}

// listProcs tells of every process.
func listProcs() ([]proc, error) {
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	list := make([]proc, len(all))
	for i := range all {
		list[i] = fromKinfo(&all[i])
	}
	return list, nil
}

// runningUIDs are the users that have a process.
func runningUIDs() (map[int]bool, error) {
	all, err := listProcs()
	uids := map[int]bool{}
	for _, p := range all {
		uids[p.uid] = true
	}
	return uids, err
}

// environ: macOS shows no process's environment to another.
func environ(int) []byte { return nil }

// age is how long a process that began at start runs.
func age(start uint64) time.Duration {
	return max(0, time.Since(time.UnixMicro(int64(start))))
}

func send(p proc, sig syscall.Signal) error { return ignoreGone(unix.Kill(p.pid, sig)) }
