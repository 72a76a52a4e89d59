package compute

import (
	"context"
	"io"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Driver makes instances on one kind of ground: processes on this machine
// first. computetest is its contract.
//
// Every method may be interrupted at any instruction, also by the end of this
// process, and called again: it then goes on from what it finds. Calls for one
// instance come one at a time, calls for different ones side by side.
type Driver interface {
	// Start makes what is missing of the instance (its disks first) and starts
	// its process. When the process is there already, its state is returned and
	// nothing is started. A failure says in a *StartError why.
	Start(ctx context.Context, spec Spec) (State, error)
	// Stop ends the process and everything that it started: SIGTERM, and
	// SIGKILL after timeout. Disks stay. Stopping what isn't there is no error.
	Stop(ctx context.Context, name string, timeout time.Duration) error
	// Delete stops without waiting and removes the disks. A data disk that isn't
	// empty is kept for retain, out of the instance's reach.
	Delete(ctx context.Context, name string, retain time.Duration) error
	// Discard removes what Delete kept of a set's instances.
	Discard(ctx context.Context, set string) error
	// Inspect tells what is there now; nothing at all is State{Name: name}.
	// A process found running is watched from then on.
	Inspect(ctx context.Context, name string) (State, error)
	// List tells of every instance that has something on this ground,
	// whoever made it.
	List(ctx context.Context) ([]State, error)
	// Exits names the instances whose process was seen to end. A name is a hint
	// to Inspect; it may come twice.
	Exits() <-chan string
	// PortInUse reports whether anything listens on the instances' port.
	PortInUse(port int) (bool, error)
	// OwnsPort reports whether the socket that answers on the instance's port
	// belongs to its process tree.
	OwnsPort(ctx context.Context, name string) (Ownership, error)
	// TakenUIDs are the user ids that own files of an instance, also of one that
	// is gone, or run processes of somebody else: they mustn't be given to another.
	TakenUIDs() (map[int]string, error)
	// Run keeps house until ctx ends: rotates logs, removes data kept long enough.
	Run(ctx context.Context) error
	// Collect drops what was cached for images other than these.
	Collect(ctx context.Context, digests []string) error
	// Logs writes the last tail lines of an instance's output (all: -1) and, with
	// follow, every one to come until ctx ends.
	Logs(ctx context.Context, name string, tail int, follow bool, w io.Writer) error
	// Close ends the watching of processes and waits for it; the processes live on.
	Close() error
}

// Spec is one instance as it is to be started. The driver records it where the
// instance can't write, so that an instance can be made known again when the
// documents were lost.
type Spec struct {
	Name        string             `json:"name"` // <set>_<n>
	Set         string             `json:"set"`
	Colour      resource.Colour    `json:"colour"`
	Model       resource.Model     `json:"model"`
	Placement   resource.Placement `json:"placement"`
	Port        int                `json:"port"`
	UID         int                `json:"uid,omitempty"` // 0: as Drover itself
	StopTimeout resource.Duration  `json:"stopTimeout"`
	Restarts    int                `json:"restarts"`
	// Reimage is the count of replacements that the OS disk must have seen.
	Reimage int `json:"reimage,omitempty"`
	// Restart is the count of requested restarts that the process comes after.
	Restart int `json:"restart,omitempty"`
}

// State is what a driver finds of one instance.
type State struct {
	Name string
	// Spec is what it was last started from; nil: never, or its record is lost.
	Spec    *Spec
	Running bool // its process is there
	// Leftover: the process is gone, others that it started aren't.
	Leftover  bool
	PID       int
	StartedAt time.Time     // of the process last started
	Age       time.Duration // how long it runs, by a clock that doesn't jump
	// Exit is how it ended by itself; nil while it runs and when Stop or the
	// machine's end ended it.
	Exit *resource.Exit
	// Failure: the launcher of the last start couldn't become the program.
	Failure *StartError
	// Ignored are the fields of the image's configuration that have no effect here.
	Ignored []string
	// Dropped are the privileges that its files have in the image and not here.
	Dropped resource.Dropped
	// HasData: its data disk isn't empty.
	HasData bool
	// Damaged says what was found broken and where it was set aside.
	Damaged string
	// Exists: there is something on disk.
	Exists bool
}

// Ownership answers whose a listening socket is.
type Ownership int

const (
	OwnerUnknown Ownership = iota // the system doesn't tell
	OwnerNobody                   // nothing listens
	OwnerSelf
	OwnerOther
)

// Reasons why an instance could not be started: a condition's reason.
const (
	ReasonImageMissing  = "ImageMissing"
	ReasonImageDamaged  = "ImageDamaged"
	ReasonNoSpace       = "NoSpace"
	ReasonNoProgram     = "ProgramNotFound"
	ReasonNotExecutable = "NotExecutable"
	ReasonUnsupported   = "NotSupportedHere"
	ReasonNoPort        = "NoPort"
	ReasonNoUser        = "NoUserID"
	ReasonStartFailed   = "StartFailed"
)

// StartError says why an instance couldn't be started.
type StartError struct {
	Reason string
	Err    error
}

func (e *StartError) Error() string { return e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }
