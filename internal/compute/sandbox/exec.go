package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/internal/resource"
)

// ErrProgram marks an error of the program itself: missing (also fs.ErrNotExist),
// not executable (fs.ErrPermission), not a program (ENOEXEC). Every other error
// is one of the sandbox.
var ErrProgram = errors.New("cannot run the program")

// Exec turns the calling process into the workload. It returns only an error,
// after which the process is good for nothing but to report it and end.
func Exec(s Spec) error {
	// Namespaces, the signal mask and no-new-privileges belong to the thread;
	// the one that calls exec is the one that stays.
	runtime.LockOSThread()
	if err := s.enter(); err != nil {
		return fmt.Errorf("enter the sandbox: %w", err)
	}
	path, err := s.program()
	if err != nil {
		return err
	}
	if err := last(s.MaxProcs); err != nil {
		return fmt.Errorf("enter the sandbox: %w", err)
	}
	err = syscall.Exec(path, s.Args, s.Env)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM) {
		return fmt.Errorf("exec %s: %w", path, err) // a limit, not the program
	}
	if _, statErr := os.Stat(path); errors.Is(err, fs.ErrNotExist) && statErr == nil {
		return fmt.Errorf("%w %q: the interpreter or loader that it names is missing: %w", ErrProgram, s.Args[0], err)
	}
	return fmt.Errorf("%w %q: %w", ErrProgram, s.Args[0], err)
}

// enter does everything that changes what the process can reach, up to its working directory.
func (s *Spec) enter() error {
	if len(s.Args) == 0 {
		return fmt.Errorf("%w: none is given", ErrProgram)
	}
	if os.Geteuid() == 0 && (s.UID == 0 || s.GID == 0) {
		return errors.New("as root every instance needs a user id of its own")
	}
	if err := detach(); err != nil {
		return err
	}
	if s.Root == resource.RootImage {
		if err := s.changeRoot(); err != nil {
			return fmt.Errorf("root: image: %w", err)
		}
	}
	if err := s.giveUp(); err != nil {
		return err
	}
	return os.Chdir(s.dir())
}

// detach cuts what a process inherits: descriptors, ignored signals, umask.
func detach() error {
	if err := closeOnExec(); err != nil {
		return fmt.Errorf("close descriptors: %w", err)
	}
	resetSignals()
	syscall.Umask(0o022)
	detachSystem()
	return nil
}

// giveUp becomes the instance's user, as root, and loses every privilege.
func (s *Spec) giveUp() error {
	if os.Geteuid() == 0 {
		if err := dropBounding(); err != nil {
			return fmt.Errorf("drop capabilities: %w", err)
		}
		if err := syscall.Setgroups([]int{s.GID}); err != nil {
			return fmt.Errorf("set the groups: %w", err)
		}
		if err := syscall.Setgid(s.GID); err != nil {
			return fmt.Errorf("set the group id: %w", err)
		}
		if err := syscall.Setuid(s.UID); err != nil {
			return fmt.Errorf("set the user id: %w", err)
		}
	}
	return dropCapabilities()
}

// dir is the working directory as the process sees it.
func (s *Spec) dir() string {
	if s.Root == resource.RootImage {
		return filepath.Join("/", s.WorkDir)
	}
	return filepath.Join(s.OS, s.WorkDir)
}

// program finds what to exec, as the user and in the root that it will have. A
// name with a slash is looked up inside os/, links included; others along PATH.
func (s *Spec) program() (string, error) {
	name := s.Args[0]
	if !strings.Contains(name, "/") {
		return s.search(name)
	}
	if s.Root == resource.RootImage {
		return name, nil // os/ is the root: the kernel looks there
	}
	if !strings.HasPrefix(name, "/") {
		name = s.WorkDir + "/" + name
	}
	path, err := resolve(s.OS, name)
	if err != nil {
		return "", fmt.Errorf("%w %q, which is looked up inside the image: %w", ErrProgram, s.Args[0], err)
	}
	return path, nil
}

// search looks along the PATH of the workload's environment. Like a shell it
// goes on past what is not executable, and says so if nothing else is found.
func (s *Spec) search(name string) (string, error) {
	var path string
	for _, v := range s.Env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			path = value
		}
	}
	found := error(fs.ErrNotExist)
	for dir := range strings.SplitSeq(path, ":") {
		if !strings.HasPrefix(dir, "/") {
			continue // what a relative name means depends on the folder
		}
		file := dir + "/" + name
		info, err := os.Stat(file)
		if err != nil || info.IsDir() {
			continue
		}
		if unix.Access(file, unix.X_OK) == nil {
			return file, nil
		}
		found = fs.ErrPermission
	}
	return "", fmt.Errorf("%w %q, which is looked up in PATH %s: %w", ErrProgram, name, path, found)
}

const maxLinks = 40 // as the kernel has it

// resolve follows name inside root as a process would whose root that is: links
// stay inside, and ".." stops at root.
func resolve(root, name string) (string, error) {
	at := ""
	todo := strings.Split(name, "/")
	for links := 0; len(todo) > 0; {
		part := todo[0]
		todo = todo[1:]
		if part == "" || part == "." {
			continue
		}
		next := filepath.Join("/", at, part) // ".." included: at holds no link
		info, err := os.Lstat(root + next)
		if err != nil {
			return "", err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: name, Err: syscall.ELOOP}
		}
		text, err := os.Readlink(root + next)
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(text, "/") {
			at = ""
		}
		todo = append(strings.Split(text, "/"), todo...)
	}
	return filepath.Join(root, at), nil
}
