package store

import (
	"fmt"

	"github.com/droverhq/drover/internal/resource"
)

// Errors to be tested for with errors.Is. Those that an API's caller may see also
// carry the code of a resource.Error.
var (
	// ErrNotFound: there is no such document.
	ErrNotFound error = resource.Errorf(resource.CodeNotFound, "not found")
	// ErrConflict: the document is not at the revision that the caller read.
	ErrConflict error = resource.Errorf(resource.CodeRevisionConflict, "changed meanwhile")
	// ErrTooOld: changes after that revision are no longer known; list again.
	ErrTooOld error = resource.Errorf(resource.CodeGone, "the revision is too old to watch from")
	// ErrNoSpace: there is no disk space left; nothing was written.
	ErrNoSpace error = resource.Errorf(resource.CodeInsufficientStorage, "no disk space left")
	// ErrDisk: the disk fails; what was to be written is not to be counted on.
	ErrDisk error = resource.Errorf(resource.CodeUnavailable, "the disk of the data folder does not take what is written: the server's log has the cause")
	// ErrPoolEmpty: every number of the pool is booked or taken.
	ErrPoolEmpty error = resource.Errorf(resource.CodeUnavailable, "no number is free")
	// ErrClosed: the store was closed.
	ErrClosed error = resource.Errorf(resource.CodeUnavailable, "the store is closed")
)

// detailed is a sentinel that says what it is about, to a reader of the text and
// to one of the resource.Error alike.
type detailed struct {
	coded    *resource.Error
	sentinel error
}

func detail(sentinel error, format string, args ...any) error {
	text := fmt.Sprintf(format, args...) + ": " + sentinel.Error()
	return &detailed{resource.Errorf(resource.CodeOf(sentinel), "%s", text), sentinel}
}

func (d *detailed) Error() string   { return d.coded.Detail }
func (d *detailed) Unwrap() []error { return []error{d.coded, d.sentinel} }
