package compute

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// view is all that a decision about one instance looks at.
type view struct {
	Now    time.Time // by a clock that doesn't jump while this process lives
	Status resource.InstanceStatus
	State  State
	Check  resource.HealthCheck
	Probe  *ProbeResult // nil: nothing is known
	// Foreign: the socket that answers on the instance's port isn't its own.
	Foreign bool
	// PortTaken: it is not running and its port is listened on all the same.
	PortTaken bool
}

// action is what is to be done after the status was written.
type action string

const (
	actNothing action = ""
	actEnd     action = "end"    // what a dead process left running
	actStart   action = "start"  // disks where missing, and the process
	actStop    action = "stop"   // to start it anew from what the document says now
	actDelete  action = "delete" // process, disks, bookings and document
)

// decision is the status to be written, and what to do then. Again is when to
// look again at the latest; 0: when something changes.
type decision struct {
	Status resource.InstanceStatus
	Action action
	Again  time.Duration
}

// decide says what an instance needs next. It only looks at what is stored and
// what is there, so whatever was interrupted goes on from here.
func decide(v view) decision {
	d := decision{Status: v.Status}
	d.Status.Conditions = slices.Clone(v.Status.Conditions)
	s := &d.Status
	switch {
	case s.Goal == resource.GoalDelete:
		s.Phase, d.Action = resource.InstanceStopping, actDelete
	case v.State.Running && v.outdated():
		v.stopping(s)
		d.Action = actStop
	case v.State.Running:
		v.adopt(s)
		d.Again = evaluate(v, s)
		v.explain(s)
	case v.State.Leftover:
		d.Action = actEnd
	default:
		v.ended(s)
		d.Again = evaluate(v, s)
		d.restart(v)
	}
	return d
}

// outdated: what runs, or ran last, was made from another model or before the
// wanted reimage or restart.
func (v view) outdated() bool {
	made := v.State.Spec
	return v.remade() || made != nil && made.Restart < v.Status.Restart
}

// remade: what comes next has another OS disk than what was there.
func (v view) remade() bool {
	made := v.State.Spec
	return made != nil && (made.Reimage < v.Status.Reimage || made.Model.Key() != v.Status.Model.Key())
}

// stopping: it is to be started anew. Grace begins anew with a reimage, or with a
// restart after it was Healthy.
func (v view) stopping(s *resource.InstanceStatus) {
	if v.remade() || s.HealthySince != nil {
		s.GraceSince = nil
	}
	s.Phase, s.Health, s.HealthySince = resource.InstanceStopping, resource.HealthInitializing, nil
}

// adopt reports a process that runs, whoever started it.
func (v view) adopt(s *resource.InstanceStatus) {
	if s.StartedAt == nil || !s.StartedAt.Equal(v.State.StartedAt) {
		at := v.State.StartedAt
		s.StartedAt, s.HealthySince = &at, nil
		s.Restarts = max(s.Restarts, v.State.Spec.Restarts)
		if s.GraceSince == nil || s.Reimaged < v.State.Spec.Reimage {
			since := v.Now.Add(-v.State.Age)
			s.GraceSince, s.Health = &since, resource.HealthInitializing
		}
	}
	s.Phase, s.PID, s.NextStart = resource.InstanceRunning, v.State.PID, nil
	s.Address = Address(v.State.Spec.Port)
	s.Reimaged, s.Restarted, s.HasData = v.State.Spec.Reimage, v.State.Spec.Restart, v.State.HasData
	s.Conditions = resource.ClearCondition(s.Conditions, ConditionStartFailed)
	v.say(s, resource.ConditionImageFieldsUnused, len(v.State.Ignored) > 0, "NotHonoured",
		"the image sets "+strings.Join(v.State.Ignored, ", ")+", which has no effect here")
	v.say(s, ConditionPortTaken, v.Foreign, "AnotherProcess",
		fmt.Sprintf("another process listens on %s; its answers are not taken for the instance's", s.Address))
}

// ended puts the end of a process on record, once: the pid goes with it, and
// the process's start stays, so that the same end is known when it is seen again.
func (v view) ended(s *resource.InstanceStatus) {
	st := v.State
	// Another start is a later one, also by a clock that was set back.
	newer := !st.StartedAt.IsZero() && (s.StartedAt == nil || !st.StartedAt.Equal(*s.StartedAt))
	if s.PID == 0 && !newer {
		return
	}
	known := newer || s.StartedAt != nil && st.StartedAt.Equal(*s.StartedAt)
	if newer {
		at := st.StartedAt
		s.StartedAt = &at
	}
	s.PID = 0
	switch {
	case known && st.Failure != nil:
		notStarted(s, st.Failure, v.Now)
	case known && st.Exit != nil:
		v.crashed(s)
	default:
		// Ended on purpose: by `down` or the machine's restart, or to be started anew. Or
		// its record is lost.
		if s.Phase != resource.InstanceStopping {
			s.GraceSince = nil
		}
		s.Phase, s.Health = resource.InstancePending, resource.HealthInitializing
		s.HealthySince, s.NextStart = nil, nil
	}
}

// crashed: the process ended by itself.
func (v view) crashed(s *resource.InstanceStatus) {
	s.LastExit, s.NextStart = v.State.Exit, nil
	taken := s.HealthySince == nil && v.PortTaken
	v.say(s, ConditionPortTaken, taken, "AnotherProcess", "its process ended and another listens on "+
		Address(v.State.Spec.Port)+": it starts again on another port. A program must not put itself in the background")
	if taken {
		v.portTaken(s)
		return
	}
	s.Restarts++
	if s.HealthySince != nil {
		if v.Now.Sub(*s.HealthySince) >= calmAfter {
			s.Crashes = 0
		}
		// A dead process isn't healthy. The next one has its own grace.
		s.Health, s.GraceSince, s.HealthySince = resource.HealthUnhealthy, nil, nil
	}
	v.backOff(s, resource.InstanceBackingOff)
}

// portTaken: it could not have its port, or ended and left a process behind that
// has it and that nothing shows as its own. Starting it on another port is no
// restart, and is done at once the first time. From then on it keeps to the
// schedule: one that leaves a process behind each time would take every port.
func (v view) portTaken(s *resource.InstanceStatus) {
	if s.Crashes > 0 {
		v.backOff(s, resource.InstanceBackingOff)
		return
	}
	s.Phase = resource.InstancePending
	s.Crashes++
}

// restart starts an instance that isn't there, when its time has come.
func (d *decision) restart(v view) {
	s := &d.Status
	if s.Phase == resource.InstanceBackingOff && v.outdated() {
		s.NextStart = nil // what crashed is not what is to be started
	}
	// A clock that was set back mustn't make it wait longer than the schedule ever does.
	if s.NextStart != nil && s.NextStart.After(v.Now) && s.NextStart.Sub(v.Now) <= backoffMost {
		d.Again = sooner(d.Again, s.NextStart.Sub(v.Now))
		return
	}
	s.Phase, s.NextStart, d.Action = resource.InstanceStarting, nil, actStart
	v.say(s, ConditionRecordDamaged, v.State.Damaged != "", "SetAside", v.State.Damaged)
}

// notStarted reports a start that failed, and when the next one is.
func notStarted(s *resource.InstanceStatus, why *StartError, now time.Time) {
	v := view{Now: now}
	v.say(s, ConditionStartFailed, true, why.Reason, why.Error())
	if s.GraceSince == nil {
		s.GraceSince = &now
	}
	s.HealthySince, s.PID = nil, 0
	if s.Health == resource.HealthHealthy {
		s.Health = resource.HealthUnhealthy
	}
	v.backOff(s, resource.InstanceFailed)
}

// The schedule of starts after crashes and failures: 250 ms, 500 ms, 1 s, … 1 min.
const (
	backoffLeast = 250 * time.Millisecond
	backoffMost  = time.Minute
	// calmAfter is how long it must have been healthy for the schedule to begin anew.
	calmAfter = time.Minute
)

func (v view) backOff(s *resource.InstanceStatus, phase resource.InstancePhase) {
	wait := backoffMost
	if s.Crashes < 8 {
		wait = min(backoffLeast<<s.Crashes, backoffMost)
	}
	s.Crashes++
	next := v.Now.Add(wait)
	s.Phase, s.NextStart = phase, &next
}

// say sets a condition while it holds and removes it when it doesn't.
func (v view) say(s *resource.InstanceStatus, typ string, holds bool, reason, message string) {
	if !holds {
		s.Conditions = resource.ClearCondition(s.Conditions, typ)
		return
	}
	s.Conditions = resource.SetCondition(s.Conditions, resource.Condition{
		Type: typ, Status: true, Reason: reason, Message: message, Since: v.Now,
	})
}

// explain says why an instance that runs is Unhealthy, as it was when it became
// so: what its later probes say differs by a port number and is not written down.
func (v view) explain(s *resource.InstanceStatus) {
	unhealthy := s.Health == resource.HealthUnhealthy
	if unhealthy && resource.FindCondition(s.Conditions, ConditionCheckFailed) != nil {
		return
	}
	p := v.probe()
	if !unhealthy || p == nil || p.LastError == "" {
		s.Conditions = resource.ClearCondition(s.Conditions, ConditionCheckFailed)
		return
	}
	v.say(s, ConditionCheckFailed, true, "ProbeFailed", "its health check fails: "+p.LastError)
}

// Condition types of an Instance.
const (
	ConditionCheckFailed   = "CheckFailed"
	ConditionStartFailed   = "StartFailed"
	ConditionPortTaken     = "PortTaken"
	ConditionRecordDamaged = "RecordDamaged"
)

// Address is where an instance listens.
func Address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
