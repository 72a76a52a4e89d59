package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is the unit of the times in /proc/PID/stat: fixed by the
// kernel's interface, whatever its timer does.
const ticksPerSecond = 100

// bootID changes with every start of the machine.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the id of this boot: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// readProc tells of one process; an error that is fs.ErrNotExist: there is none.
func readProc(pid int) (proc, error) {
	name := "/proc/" + strconv.Itoa(pid) + "/stat"
	text, err := os.ReadFile(name)
	if err != nil {
		// A process that ends while it is read answers ESRCH.
		if errors.Is(err, syscall.ESRCH) {
			err = fs.ErrNotExist
		}
		return proc{}, fmt.Errorf("read %s: %w", name, err)
	}
	p, err := parseStat(text)
	if err != nil {
		return proc{}, fmt.Errorf("read %s: %w", name, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Dir(name), &st); err == nil {
		p.uid = int(st.Uid)
	}
	return p, nil
}

// parseStat reads a line of /proc/PID/stat. The program's name, in parentheses,
// may hold anything, also parentheses and line breaks: what counts is the last one.
func parseStat(text []byte) (proc, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return proc{}, errors.New("no program name in it")
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text[:open])))
	if err != nil {
		return proc{}, fmt.Errorf("its pid: %w", err)
	}
	// From field 3 on: state, parent, group, session, … 20: threads, 22: start.
	f := strings.Fields(string(text[end+1:]))
	if len(f) < 20 {
		return proc{}, fmt.Errorf("only %d fields in it", len(f))
	}
	p := proc{pid: pid}
	var threads int
	for _, n := range []struct {
		to *int
		at int
	}{{&p.parent, 1}, {&p.session, 3}, {&threads, 17}} {
		if *n.to, err = strconv.Atoi(f[n.at]); err != nil {
			return proc{}, fmt.Errorf("field %d: %w", n.at+3, err)
		}
	}
	if p.start, err = strconv.ParseUint(f[19], 10, 64); err != nil {
		return proc{}, fmt.Errorf("its start: %w", err)
	}
	// A program whose first thread has ended shows Z while the others run on.
	p.dead = f[0] == "X" || f[0] == "x" || f[0] == "Z" && threads <= 1
	return p, nil
}

// listProcs tells of every process that the caller may see.
func listProcs() ([]proc, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var list []proc
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, err := readProc(pid); err == nil {
			list = append(list, p)
		}
	}
	return list, nil
}

// runningUIDs are the users that have a process.
func runningUIDs() (map[int]bool, error) {
	pids, err := readNames("/proc")
	if err != nil {
		return nil, err
	}
	uids := map[int]bool{}
	for _, pid := range pids {
		if _, err := strconv.Atoi(pid); err == nil {
			uids[ownerOf(filepath.Join("/proc", pid))] = true
		}
	}
	return uids, nil
}

// environ is a process's environment as it was started with, NUL-separated;
// empty where the caller may not read it.
func environ(pid int) []byte {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return nil
	}
	return b
}

// age is how long a process that began at start runs, by the clock that counts
// from the machine's start and never jumps.
func age(start uint64) time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return max(0, time.Duration(now.Nano())-time.Duration(start)*(time.Second/ticksPerSecond))
}

// send signals exactly the process p: a pid that was given to another meanwhile is let be.
func send(p proc, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ENOSYS) {
		return ignoreGone(unix.Kill(p.pid, sig))
	}
	if err != nil {
		return ignoreGone(err)
	}
	defer unix.Close(fd)
	if now, err := readProc(p.pid); err != nil || now.start != p.start {
		return nil
	}
	return ignoreGone(unix.PidfdSendSignal(fd, sig, nil, 0))
}
