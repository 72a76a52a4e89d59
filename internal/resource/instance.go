package resource

import (
	"strconv"
	"strings"
	"time"
)

// Instance is one running copy. fleet writes Goal, Admission and Model; compute makes them true and reports the rest.
type Instance = Object[InstanceSpec, InstanceStatus]

const KindInstance = "Instance"

type InstanceSpec struct{}

type Health string

const (
	HealthInitializing Health = "Initializing"
	HealthHealthy      Health = "Healthy"
	HealthUnhealthy    Health = "Unhealthy"
	HealthUnknown      Health = "Unknown"
)

type Admission string

const (
	AdmissionInService Admission = "InService"
	AdmissionDraining  Admission = "Draining"
	AdmissionOut       Admission = "Out"
)

// Goal is what fleet wants compute to make true.
type Goal string

const (
	GoalRun    Goal = "Run"
	GoalDelete Goal = "Delete"
)

// InstancePhase is what compute last did with the process.
type InstancePhase string

const (
	InstancePending    InstancePhase = "Pending"    // nothing made yet
	InstanceStarting   InstancePhase = "Starting"   // disks being made, launcher called
	InstanceRunning    InstancePhase = "Running"    // the process is there
	InstanceBackingOff InstancePhase = "BackingOff" // it ended; waits for its next start
	InstanceStopping   InstancePhase = "Stopping"
	InstanceFailed     InstancePhase = "Failed" // cannot be made: the condition says why; tried again on the backoff
)

type InstanceStatus struct {
	Set        string          `json:"set"`
	Colour     Colour          `json:"colour"`
	Model      Model           `json:"model"`
	Version    string          `json:"version"`
	Health     Health          `json:"health"`
	Admission  Admission       `json:"admission"`
	Address    string          `json:"address,omitempty"` // 127.0.0.1:PORT
	Placement  Placement       `json:"placement"`
	PID        int             `json:"pid,omitempty"`
	StartedAt  *time.Time      `json:"startedAt,omitempty"`
	Restarts   int             `json:"restarts"`
	LastExit   *Exit           `json:"lastExit,omitempty"`
	Conditions List[Condition] `json:"conditions"`

	// DrainingSince is when Admission became Draining; nil: it is not.
	DrainingSince *time.Time `json:"drainingSince,omitempty"`

	// Served: it has taken traffic.
	Served bool `json:"served,omitempty"`
	// Notice tells the instance what will be done to it. That it is to be deleted is
	// never withdrawn; that it is reimaged is gone once it was.
	Notice *Notice `json:"notice,omitempty"`
	// Operation is what somebody asked to be done to this one instance; nil: nothing,
	// or it is over.
	Operation *Operation `json:"operation,omitempty"`
	// Validate is what it must answer before it takes traffic for the first time; nil:
	// nothing. Validated is how that went.
	Validate  *Validation `json:"validate,omitempty"`
	Validated *Validated  `json:"validated,omitempty"`

	Goal  Goal          `json:"goal"`
	Phase InstancePhase `json:"phase"`
	// HasData: its data folder is not empty; a new colour would not have what is in it.
	HasData bool `json:"hasData,omitempty"`
	// Discard: the set is being deleted, the data folder goes with the instance at once.
	Discard bool `json:"discard,omitempty"`
	// Reimage counts requested replacements of the OS disk, Reimaged those done.
	Reimage  int `json:"reimage,omitempty"`
	Reimaged int `json:"reimaged,omitempty"`
	// Restart counts requested replacements of the process, Restarted those done.
	// Restarts, above, are those after it ended by itself.
	Restart   int `json:"restart,omitempty"`
	Restarted int `json:"restarted,omitempty"`
	// NextStart is when a BackingOff or Failed instance is started again.
	NextStart *time.Time `json:"nextStart,omitempty"`
	// Crashes counts failed starts and ends in a row; it sets the backoff and
	// starts again once the instance has been Healthy for a while.
	Crashes int `json:"crashes,omitempty"`
	// GraceSince is when the health check's grace period began; nil: with the next start.
	GraceSince *time.Time `json:"graceSince,omitempty"`
	// HealthySince is when it last became Healthy since the process started; nil: not yet.
	HealthySince *time.Time `json:"healthySince,omitempty"`
}

// Validated is what the validation of the process that began at StartedAt came to.
type Validated struct {
	StartedAt time.Time `json:"startedAt"`
	At        time.Time `json:"at"`
	Passed    bool      `json:"passed"`
	Message   string    `json:"message,omitempty"` // why not
}

// ValidatedNow is the validation of the process that runs now; nil: there was none yet.
func (s *InstanceStatus) ValidatedNow() *Validated {
	if v := s.Validated; v != nil && s.StartedAt != nil && v.StartedAt.Equal(*s.StartedAt) {
		return v
	}
	return nil
}

// Renewed says that process and OS disk are as new as they were asked to be.
func (s *InstanceStatus) Renewed() bool {
	return s.Restarted >= s.Restart && s.Reimaged >= s.Reimage
}

// Terminating says that it was told that it is to be deleted.
func (s *InstanceStatus) Terminating() bool {
	return s.Notice != nil && s.Notice.Type == EventTerminate
}

// Action is what can be asked of one instance.
type Action string

const (
	ActionRestart Action = "Restart"
	ActionReimage Action = "Reimage"
	ActionDelete  Action = "Delete"
)

// Operation is an action from when it was asked for until it is over.
type Operation struct {
	Action   Action    `json:"action"`
	By       string    `json:"by,omitempty"`
	At       time.Time `json:"at"`
	Warnings []string  `json:"warnings,omitempty"`
	// Started is when a restart or reimage began to take it out of service, Released
	// when it was out and its process could be ended.
	Started  *time.Time `json:"started,omitempty"`
	Released *time.Time `json:"released,omitempty"`
}

type Placement struct {
	Node        string `json:"node"`
	Zone        string `json:"zone,omitempty"`
	FaultDomain int    `json:"faultDomain,omitempty"`
}

// Exit is how a process ended. Code is nil when it was ended by a signal or when
// nobody could wait for it (it was adopted).
type Exit struct {
	Code   *int      `json:"code"`
	Signal string    `json:"signal,omitempty"`
	At     time.Time `json:"at"`
}

// InstanceName names instance n of a set.
func InstanceName(set string, n int) string { return set + "_" + strconv.Itoa(n) }

// SplitInstanceName is the inverse of InstanceName.
func SplitInstanceName(name string) (set string, n int, ok bool) {
	set, num, found := strings.Cut(name, "_")
	if !found || ValidateName(set) != nil {
		return "", 0, false
	}
	n, err := strconv.Atoi(num)
	if err != nil || n < 0 || strconv.Itoa(n) != num {
		return "", 0, false
	}
	return set, n, true
}
