package process

import (
	"context"
	"errors"
	"io/fs"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/compute/disk"
	"github.com/droverhq/drover/internal/compute/sandbox"
	"github.com/droverhq/drover/internal/resource"
	"golang.org/x/sys/unix"
)

// startError gives an error its reason. The end of the caller's context isn't a
// failure of the instance and stays what it is.
func startError(err error) error {
	if _, ok := errors.AsType[*compute.StartError](err); ok || errors.Is(err, context.Canceled) {
		return err
	}
	return &compute.StartError{Reason: reasonOf(err), Err: err}
}

func reasonOf(err error) string {
	if e, ok := errors.AsType[*compute.StartError](err); ok {
		return e.Reason
	}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), resource.IsCode(err, resource.CodeInsufficientStorage):
		return compute.ReasonNoSpace
	case resource.IsCode(err, resource.CodeImageNotFound), resource.IsCode(err, resource.CodeNotFound):
		return compute.ReasonImageMissing
	case errors.Is(err, disk.ErrRefused), errors.Is(err, disk.ErrCorrupt):
		return compute.ReasonImageDamaged
	case errors.Is(err, sandbox.ErrProgram) && errors.Is(err, fs.ErrNotExist):
		return compute.ReasonNoProgram
	case errors.Is(err, sandbox.ErrProgram):
		return compute.ReasonNotExecutable
	case errors.Is(err, errors.ErrUnsupported):
		return compute.ReasonUnsupported
	}
	return compute.ReasonStartFailed
}
