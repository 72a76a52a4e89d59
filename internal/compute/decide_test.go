package compute

import (
	"errors"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *time.Time { t := noon.Add(d); return &t }

func testCheck() resource.HealthCheck {
	return resource.HealthCheck{
		Path: "/healthz", UnhealthyThreshold: 3, HealthyThreshold: 1,
		GracePeriod: resource.Duration(30 * time.Second),
	}
}

// running is a view of an instance whose process began at noon and was reported.
func running(now time.Duration) view {
	model := resource.Model{Digest: "sha256:a"}
	return view{
		Now: noon.Add(now), Check: testCheck(),
		Status: resource.InstanceStatus{
			Goal: resource.GoalRun, Phase: resource.InstanceRunning, Model: model, PID: 7,
			Address: "127.0.0.1:20000", StartedAt: at(0), GraceSince: at(0), Health: resource.HealthInitializing,
		},
		State: State{
			Name: "web_1", Exists: true, Running: true, PID: 7, StartedAt: noon, Age: now,
			Spec: &Spec{Name: "web_1", Model: model, Port: 20000},
		},
	}
}

// dead is running, but its process has ended with code 1.
func dead(now time.Duration) view {
	v, code := running(now), 1
	v.State.Running, v.State.PID = false, 0
	v.State.Exit = &resource.Exit{Code: &code, At: v.Now}
	return v
}

func healthy(v view, since time.Duration) view {
	v.Status.Health, v.Status.HealthySince = resource.HealthHealthy, at(since)
	return v
}

func TestDecideAction(t *testing.T) {
	cases := []struct {
		name   string
		view   func() view
		action action
		phase  resource.InstancePhase
	}{
		{"new: nothing is there", func() view {
			v := running(0)
			v.State, v.Status.PID, v.Status.StartedAt = State{Name: "web_1"}, 0, nil
			return v
		}, actStart, resource.InstanceStarting},
		{"it runs", func() view { return running(time.Second) }, actNothing, resource.InstanceRunning},
		{"it crashed", func() view { return dead(time.Second) }, actNothing, resource.InstanceBackingOff},
		{"it crashed and left something", func() view {
			v := dead(time.Second)
			v.State.Leftover = true
			return v
		}, actEnd, resource.InstanceRunning},
		{"its time to start again has come", func() view {
			v := dead(2 * time.Second)
			v.Status.PID, v.Status.Phase, v.Status.NextStart = 0, resource.InstanceBackingOff, at(2*time.Second)
			return v
		}, actStart, resource.InstanceStarting},
		{"its time has not come", func() view {
			v := dead(time.Second)
			v.Status.PID, v.Status.Phase, v.Status.NextStart = 0, resource.InstanceBackingOff, at(2*time.Second)
			return v
		}, actNothing, resource.InstanceBackingOff},
		{"the clock was set back by a day", func() view {
			v := dead(-24 * time.Hour)
			v.Status.PID, v.Status.Phase, v.Status.NextStart = 0, resource.InstanceBackingOff, at(2*time.Second)
			return v
		}, actStart, resource.InstanceStarting},
		{"it was stopped by down", func() view {
			v := dead(time.Second)
			v.State.Exit = nil
			return v
		}, actStart, resource.InstanceStarting},
		{"its record is lost", func() view {
			v := dead(time.Second)
			v.State = State{Name: "web_1", Exists: true, Damaged: "checksum"}
			return v
		}, actStart, resource.InstanceStarting},
		{"a reimage is wanted", func() view {
			v := running(time.Second)
			v.Status.Reimage = 1
			return v
		}, actStop, resource.InstanceStopping},
		{"a restart is wanted", func() view {
			v := running(time.Second)
			v.Status.Restart = 1
			return v
		}, actStop, resource.InstanceStopping},
		{"it crashed and a restart is wanted", func() view {
			v := dead(time.Second)
			v.Status.Restart = 1
			return v
		}, actStart, resource.InstanceStarting},
		{"it could not be reimaged", func() view {
			v := dead(2 * time.Second)
			v.Status.Reimage, v.Status.PID, v.Status.Phase, v.Status.NextStart = 1, 0, resource.InstanceFailed, at(3*time.Second)
			return v
		}, actNothing, resource.InstanceFailed},
		{"it runs another model", func() view {
			v := running(time.Second)
			v.Status.Model.Digest = "sha256:b"
			return v
		}, actStop, resource.InstanceStopping},
		{"it is to go", func() view {
			v := running(time.Second)
			v.Status.Goal = resource.GoalDelete
			return v
		}, actDelete, resource.InstanceStopping},
		{"it is to go and is gone", func() view {
			v := running(time.Second)
			v.Status.Goal, v.State = resource.GoalDelete, State{Name: "web_1"}
			return v
		}, actDelete, resource.InstanceStopping},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := decide(c.view())
			if d.Action != c.action || d.Status.Phase != c.phase {
				t.Errorf("action %q phase %s, want %q %s", d.Action, d.Status.Phase, c.action, c.phase)
			}
		})
	}
}

func TestCrashIsCountedOnce(t *testing.T) {
	v := dead(time.Second)
	first := decide(v)
	if first.Status.Restarts != 1 || first.Status.PID != 0 || *first.Status.LastExit.Code != 1 {
		t.Fatalf("after the crash: %+v", first.Status)
	}
	// The same end seen again, also by a Drover that died after it wrote Starting.
	for _, phase := range []resource.InstancePhase{resource.InstanceBackingOff, resource.InstanceStarting} {
		v.Status = first.Status
		v.Status.Phase = phase
		if again := decide(v); again.Status.Restarts != 1 {
			t.Errorf("phase %s: counted again: %d", phase, again.Status.Restarts)
		}
	}
	// A later process that was never reported counts too.
	v.State.StartedAt = noon.Add(5 * time.Second)
	if next := decide(v); next.Status.Restarts != 2 {
		t.Errorf("a process that nobody saw run: %d restarts, want 2", next.Status.Restarts)
	}
}

func TestBackoffSchedule(t *testing.T) {
	v := dead(time.Second)
	var got []time.Duration
	for range 10 {
		d := decide(v)
		got = append(got, d.Status.NextStart.Sub(v.Now))
		v.Status = d.Status
		v.Status.PID = 7
	}
	want := []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
		4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute, time.Minute}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("schedule %v, want %v", got, want)
		}
	}
	// Healthy for less than a while changes nothing, for longer starts it anew.
	v = healthy(v, time.Second)
	v.Now, v.State.StartedAt = noon.Add(30*time.Second), noon
	if d := decide(v); d.Status.NextStart.Sub(v.Now) != time.Minute {
		t.Errorf("after half a minute healthy: %s", d.Status.NextStart.Sub(v.Now))
	}
	v.Now = noon.Add(2 * time.Minute)
	if d := decide(v); d.Status.NextStart.Sub(v.Now) != 250*time.Millisecond {
		t.Errorf("after two minutes healthy: %s", d.Status.NextStart.Sub(v.Now))
	}
}

func TestPortTakenIsNoRestart(t *testing.T) {
	v := dead(time.Second)
	v.PortTaken = true
	d := decide(v)
	if d.Action != actStart || d.Status.Restarts != 0 || resource.FindCondition(d.Status.Conditions, ConditionPortTaken) == nil {
		t.Errorf("before it was healthy: %s %+v", d.Action, d.Status)
	}
	// Again and again: a program that goes into the background would soon have all ports.
	again := v
	again.Status.Crashes = d.Status.Crashes
	if d := decide(again); d.Action != actNothing || d.Again < backoffLeast || d.Status.Restarts != 0 {
		t.Errorf("a second time: %s after %s, %+v", d.Action, d.Again, d.Status)
	}
	if d := decide(healthy(v, 0)); d.Action != actNothing || d.Status.Restarts != 1 {
		t.Errorf("after it was healthy: %s %+v", d.Action, d.Status)
	}
}

// The clock was set back: what ended before anybody saw it run is a crash all the same.
func TestUnseenCrashAfterTheClockWasSetBack(t *testing.T) {
	v := dead(time.Second)
	v.Status.PID, v.Status.Crashes = 0, 3
	started := v.State.StartedAt.Add(time.Hour) // by the clock as it was then
	v.Status.StartedAt = &started
	if d := decide(v); d.Action != actNothing || d.Status.Restarts != 1 || d.Again < time.Second {
		t.Errorf("%s after %s, %+v", d.Action, d.Again, d.Status)
	}
}

func TestEndOnPurposeIsNoCrash(t *testing.T) {
	v := healthy(dead(time.Hour), 0)
	v.State.Exit = nil
	s := decide(v).Status
	if s.Restarts != 0 || s.LastExit != nil || s.GraceSince != nil || s.Health != resource.HealthInitializing {
		t.Errorf("%+v", s)
	}
}

func TestAdoptedFailureOfTheLauncher(t *testing.T) {
	v := dead(time.Second)
	v.State.Exit, v.State.Failure = nil, &StartError{Reason: ReasonNotExecutable, Err: errors.New("no")}
	s := decide(v).Status
	c := resource.FindCondition(s.Conditions, ConditionStartFailed)
	if s.Phase != resource.InstanceFailed || c == nil || c.Reason != ReasonNotExecutable || s.Restarts != 0 {
		t.Errorf("%+v", s)
	}
}

// The grace period begins anew with a reimage, and with a restart after it was
// Healthy; until it was, a restart is given what is left.
func TestGraceAfterWhatWasAsked(t *testing.T) {
	restarted := func(s *resource.InstanceStatus) { s.Restart = 1 }
	reimaged := func(s *resource.InstanceStatus) { s.Reimage = 1 }
	for _, test := range []struct {
		name  string
		asked func(*resource.InstanceStatus)
		well  bool // before
		down  bool // it crashed when it was asked for
		grace time.Duration
	}{
		{"a restart", restarted, true, false, 60 * time.Second},
		{"a restart before it was healthy", restarted, false, false, 0},
		{"a restart of one that crashed before", restarted, false, true, 0},
		{"a reimage", reimaged, true, false, 60 * time.Second},
		{"a reimage before it was healthy", reimaged, false, false, 60 * time.Second},
		{"a reimage of one that crashed before", reimaged, false, true, 60 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := running(60 * time.Second)
			if test.down {
				v = dead(60 * time.Second)
			}
			if test.well {
				v = healthy(v, time.Second)
			}
			test.asked(&v.Status)
			if d := decide(v); !test.down {
				v.Status = d.Status
				v.State.Running, v.State.PID = false, 0 // stopped on purpose
			}
			v.Status = decide(v).Status
			spec := *v.State.Spec
			spec.Restart, spec.Reimage = v.Status.Restart, v.Status.Reimage
			v.State = State{Name: "web_1", Exists: true, Running: true, PID: 8, StartedAt: v.Now, Spec: &spec}
			s := decide(v).Status
			if !s.Renewed() || s.GraceSince == nil || s.GraceSince.Sub(noon) != test.grace || s.Health == resource.HealthHealthy {
				t.Errorf("it is %s, its grace began at %v, %+v", s.Health, s.GraceSince, s)
			}
		})
	}
}

func TestDecideIsStable(t *testing.T) {
	for name, v := range map[string]view{
		"running": running(time.Second), "healthy": healthy(running(time.Minute), 0), "dead": dead(time.Second),
	} {
		d := decide(v)
		v.Status = d.Status
		if again := decide(v); !same(again.Status, d.Status) {
			t.Errorf("%s: a second look changes the status:\n%+v\n%+v", name, d.Status, again.Status)
		}
	}
}
