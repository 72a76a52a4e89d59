package sandbox

import (
	"errors"
	"syscall"

	"github.com/droverhq/drover/internal/resource"
)

func closeOnExec() error      { return closeOnExecEach("/dev/fd") }
func detachSystem()           {}
func dropBounding() error     { return nil }
func dropCapabilities() error { return nil }

func last(maxProcs uint64) error { return limitProcs(maxProcs) }

var errNoImageRoot = errors.New("root: image needs Linux; write root: host")

func (s *Spec) changeRoot() error { return errNoImageRoot }

// Attr is how the starter must start the launcher: in a session of its own.
func Attr(root string) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// Check says why workloads with this root cannot run here, or nil.
func Check(root string) error {
	if root == resource.RootImage {
		return errNoImageRoot
	}
	return nil
}

// MountPoints are what root: image mounts over; there is none here.
func MountPoints(data string) (dirs, files []string) { return nil, nil }
