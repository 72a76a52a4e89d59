package sandbox

import (
	"errors"
	"syscall"
)

// ErrProgram marks an error of the program itself: missing, not executable, not
// a program. Everything else is an error of the sandbox.
var ErrProgram = errors.New("cannot run the program")

// Attr is how the starter must start the launcher of a workload with this root.
// It always asks for a session of its own.
func Attr(root string) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// Check says why workloads with this root cannot run here, or nil.
func Check(root string) error { return nil }

// Exec turns the calling process into the workload. It returns only an error.
func Exec(s Spec) error { return errors.ErrUnsupported }
