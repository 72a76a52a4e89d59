package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// closeOnExec marks every descriptor but 0, 1 and 2.
func closeOnExec() error {
	err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return closeOnExecEach("/proc/self/fd") // before Linux 5.11
}

// detachSystem leaves Drover's keyring and any better chance that a service
// manager gave it when memory runs out. Both are best effort: where they cannot
// be done they are not needed.
func detachSystem() {
	_, _ = unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	const file = "/proc/self/oom_score_adj"
	text, err := os.ReadFile(file)
	if score, convErr := strconv.Atoi(string(bytes.TrimSpace(text))); err == nil && convErr == nil && score < 0 {
		_ = os.WriteFile(file, []byte("0"), 0)
	}
}

// dropBounding makes it impossible to gain a capability from a file.
func dropBounding() error {
	for c := uintptr(0); ; c++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // past the last that this kernel knows
		}
		if err != nil {
			return err
		}
	}
}

// dropCapabilities empties every set, among them the ambient one that a
// launcher in a user namespace was started with.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("drop ambient capabilities: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no-new-privileges: %w", err)
	}
	return nil
}

// last is done right before exec. The limit on processes comes this late
// because it counts threads too, and this process may still start some.
func last(maxProcs uint64) error {
	if err := limitProcs(maxProcs); err != nil {
		return err
	}
	var none unix.Sigset_t
	return unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil)
}

// Attr is how the starter must start the launcher of a workload with this root:
// in a session of its own and, for root: image as an ordinary user, in a user
// namespace that maps this user to itself. The one capability that mounting
// takes has to be an ambient one, or the launcher's exec would lose it.
func Attr(root string) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if needsUserNamespace(root) {
		uid, gid := os.Geteuid(), os.Getegid()
		attr.Cloneflags = unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN}
	}
	return attr
}
