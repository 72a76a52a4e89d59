package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/internal/resource"
)

const (
	resolvConf = "/etc/resolv.conf"
	hosts      = "/etc/hosts"
)

// MountPoints are the folders and files that must be in os/ for root: image to
// mount over. Who makes os/ makes them: here it is only read.
func MountPoints(data string) (dirs, files []string) {
	return []string{"/proc", "/dev", "/tmp", data}, []string{resolvConf, hosts}
}

func needsUserNamespace(root string) bool { return root == resource.RootImage && os.Geteuid() != 0 }

// Check says why workloads with this root cannot run here, or nil. It tries: a
// process enters the namespaces and then fails to exec, as there is no such program.
func Check(root string) error {
	if root != resource.RootImage {
		return nil
	}
	attr := Attr(root)
	attr.Unshareflags = unix.CLONE_NEWNS // which also makes the first mount call
	p, err := os.StartProcess("/proc/self/no-such-program", nil, &os.ProcAttr{Sys: attr})
	switch {
	case err == nil: // cannot be; but a process that was started is waited for
		_, err = p.Wait()
		return err
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case os.Geteuid() == 0:
		return fmt.Errorf("root: image needs the right to mount (CAP_SYS_ADMIN), which Drover has not got here; write root: host: %w", err)
	}
	return fmt.Errorf("root: image as an ordinary user needs user namespaces, which this system does not allow (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns); run Drover as root or write root: host: %w", err)
}

// changeRoot makes os/ the root of this thread, in a mount namespace of its
// own: nothing that is mounted here is ever seen outside, and all of it goes
// with the workload's last process.
func (s *Spec) changeRoot() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cut the mount namespace off: %w", err)
	}
	if err := bind(s.OS, s.OS, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV); err != nil {
		return err
	}
	for _, step := range []func() error{s.mountProc, s.mountDev, s.mountTmp, s.mountData, s.mountFiles} {
		if err := step(); err != nil {
			return err
		}
	}
	return pivot(s.OS)
}

// pivot makes dir the root. The old root ends up mounted on top of it, where it
// is the working directory, and is taken away.
func pivot(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root to %s: %w", dir, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount the host's root: %w", err)
	}
	return unix.Chdir("/")
}

func (s *Spec) mountProc() error {
	dst, err := resolve(s.OS, "/proc")
	if err != nil {
		return err
	}
	if needsUserNamespace(s.Root) {
		// A proc of one's own takes a pid namespace of one's own, and that would
		// make the recorded pid wrong.
		return mount("/proc", dst, "", unix.MS_BIND|unix.MS_REC, "")
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	// By its name, never by its number: kernels before 5.8 know only numbers, and
	// there the option would change /proc for the whole machine.
	err = mount("proc", dst, "proc", flags, "hidepid=invisible")
	if errors.Is(err, unix.EINVAL) {
		err = mount("proc", dst, "proc", flags, "")
	}
	return err
}

func (s *Spec) mountTmp() error {
	dst, err := resolve(s.OS, "/tmp")
	if err != nil {
		return err
	}
	if s.Tmp == "" {
		return mount("tmpfs", dst, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
	}
	return bind(s.Tmp, dst, unix.MS_NOSUID|unix.MS_NODEV)
}

func (s *Spec) mountData() error {
	dst, err := makeFolder(s.OS, s.Data)
	if err != nil {
		return err
	}
	return bind(s.Data, dst, unix.MS_NOSUID|unix.MS_NODEV)
}

// makeFolder resolves name inside root, making what is missing: a data folder
// below /tmp lost its mount point in os/ when the private /tmp covered it.
func makeFolder(root, name string) (string, error) {
	at := root
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		next, err := resolve(root, strings.TrimPrefix(at, root)+"/"+part)
		if errors.Is(err, fs.ErrNotExist) {
			next = filepath.Join(at, part)
			err = os.Mkdir(next, 0o755)
		}
		if err != nil {
			return "", err
		}
		at = next
	}
	return at, nil
}

func (s *Spec) mountFiles() error {
	for _, file := range []string{resolvConf, hosts} {
		dst, err := resolve(s.OS, file)
		if err != nil {
			return err
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			continue // the host has none either
		}
		if err := bind(file, dst, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC); err != nil {
			return err
		}
	}
	return nil
}

// mountDev fills a small /dev with the host's harmless devices. They are bound,
// not made: nobody may make one in a user namespace.
func (s *Spec) mountDev() error {
	dev, err := resolve(s.OS, "/dev")
	if err != nil {
		return err
	}
	if err := mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755,size=64k"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bindDevice(filepath.Join("/dev", name), filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	if err := mountDevFolders(dev); err != nil {
		return err
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return remount(dev, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NOEXEC)
}

func bindDevice(src, dst string) error {
	if err := os.WriteFile(dst, nil, 0o644); err != nil {
		return err
	}
	return mount(src, dst, "", unix.MS_BIND, "")
}

func mountDevFolders(dev string) error {
	pts, shm := filepath.Join(dev, "pts"), filepath.Join(dev, "shm")
	for _, dir := range []string{pts, shm} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	const flags = unix.MS_NOSUID | unix.MS_NOEXEC
	if err := mount("devpts", pts, "devpts", flags, "newinstance,ptmxmode=0666,mode=0620"); err != nil {
		return err
	}
	return mount("tmpfs", shm, "tmpfs", flags|unix.MS_NODEV, "mode=1777,size=64m")
}

func mount(src, dst, fstype string, flags uintptr, options string) error {
	if err := unix.Mount(src, dst, fstype, flags, options); err != nil {
		return fmt.Errorf("mount %s at %s: %w", src, dst, err)
	}
	return nil
}

// bind shows src at dst too, with these flags besides its own.
func bind(src, dst string, flags uintptr) error {
	if err := mount(src, dst, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return remount(dst, flags)
}

// remount adds flags to a mount. Those that it has must be said again: in a
// user namespace taking one away is not allowed.
func remount(dst string, flags uintptr) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dst, &st); err != nil {
		return err
	}
	for has, flag := range map[int64]uintptr{
		unix.ST_RDONLY: unix.MS_RDONLY, unix.ST_NOSUID: unix.MS_NOSUID, unix.ST_NODEV: unix.MS_NODEV, unix.ST_NOEXEC: unix.MS_NOEXEC,
		unix.ST_NOATIME: unix.MS_NOATIME, unix.ST_NODIRATIME: unix.MS_NODIRATIME, unix.ST_RELATIME: unix.MS_RELATIME,
	} {
		if st.Flags&has != 0 {
			flags |= flag
		}
	}
	return mount("", dst, "", unix.MS_BIND|unix.MS_REMOUNT|flags, "")
}
