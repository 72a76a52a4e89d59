package compute

import (
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

func TestHealth(t *testing.T) {
	probe := func(v view, successes, failures int) view {
		v.Probe = &ProbeResult{StartedAt: v.State.StartedAt, Successes: successes, Failures: failures}
		return v
	}
	with := func(v view, h resource.Health) view { v.Status.Health = h; return v }
	process := func(v view) view {
		v.Check = resource.HealthCheck{Process: true, GracePeriod: v.Check.GracePeriod}
		return v
	}
	const second = time.Second
	cases := []struct {
		name  string
		view  view
		want  resource.Health
		again time.Duration
	}{
		{"not probed yet, within grace", running(10 * second), resource.HealthInitializing, 20 * second},
		{"failing within grace", probe(running(10*second), 0, 9), resource.HealthInitializing, 20 * second},
		{"answers", probe(running(10*second), 1, 0), resource.HealthHealthy, 0},
		{"grace is over, failing", probe(running(30*second), 0, 9), resource.HealthUnhealthy, 0},
		{"grace is over, nobody has looked", running(30 * second), resource.HealthUnknown, 0},
		{"nobody had looked, now it fails", probe(with(running(31*second), resource.HealthUnknown), 0, 1), resource.HealthUnhealthy, 0},
		{"nobody had looked, now it answers", probe(with(running(31*second), resource.HealthUnknown), 1, 0), resource.HealthHealthy, 0},
		{"unhealthy, then answers", probe(with(running(60*second), resource.HealthUnhealthy), 1, 0), resource.HealthHealthy, 0},
		{"healthy, fails twice", probe(healthy(running(10*second), 0), 0, 2), resource.HealthHealthy, 0},
		{"healthy, fails often, within grace", probe(healthy(running(10*second), 0), 0, 3), resource.HealthUnhealthy, 0},
		{"healthy, results are gone", healthy(running(60*second), 0), resource.HealthHealthy, 0},
		{"was healthy, still fails", probe(with(healthy(running(10*second), 0), resource.HealthUnhealthy), 0, 9), resource.HealthUnhealthy, 0},
		{"process: runs for less than grace", process(running(10 * second)), resource.HealthInitializing, 20 * second},
		{"process: runs for grace", process(running(30 * second)), resource.HealthHealthy, 0},
		{"crashed before it was healthy", dead(10 * second), resource.HealthInitializing, 20 * second},
		{"crashed, grace is over", dead(31 * second), resource.HealthUnhealthy, 0},
		{"crashed after it was healthy", healthy(dead(10*second), 0), resource.HealthUnhealthy, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := decide(c.view)
			if d.Status.Health != c.want {
				t.Errorf("health %s, want %s", d.Status.Health, c.want)
			}
			if c.view.State.Running && d.Again != c.again {
				t.Errorf("again in %s, want %s", d.Again, c.again)
			}
		})
	}
}

// The reason is the one of the moment: later ones that differ are not written down.
func TestWhyUnhealthy(t *testing.T) {
	v := running(30 * time.Second)
	v.Probe = &ProbeResult{StartedAt: v.State.StartedAt, Failures: 9, LastError: "GET /healthz: 503"}
	v.Status = decide(v).Status
	v.Probe.LastError = "another"
	v.Status = decide(v).Status
	c := resource.FindCondition(v.Status.Conditions, ConditionCheckFailed)
	if c == nil || c.Message != "its health check fails: GET /healthz: 503" {
		t.Errorf("the instance says %+v", c)
	}
	v.Probe.Successes, v.Probe.Failures = 1, 0
	if c := resource.FindCondition(decide(v).Status.Conditions, ConditionCheckFailed); c != nil {
		t.Errorf("it is healthy and says %+v", c)
	}
}

func TestAnotherProcesssAnswerIsNoHealth(t *testing.T) {
	v := running(10 * time.Second)
	v.Probe = &ProbeResult{StartedAt: noon, Successes: 5}
	v.Foreign = true
	d := decide(v)
	if d.Status.Health != resource.HealthInitializing || resource.FindCondition(d.Status.Conditions, ConditionPortTaken) == nil {
		t.Errorf("%+v", d.Status)
	}
}

func TestProbeOfAnEarlierProcessCountsNothing(t *testing.T) {
	v := running(10 * time.Second)
	v.Probe = &ProbeResult{StartedAt: noon.Add(-time.Minute), Successes: 5}
	if d := decide(v); d.Status.Health != resource.HealthInitializing {
		t.Errorf("health %s", d.Status.Health)
	}
}

// A crash before the instance was healthy doesn't renew its grace, one after does.
func TestGraceAfterARestart(t *testing.T) {
	next := func(v view, started time.Duration) resource.InstanceStatus {
		crashed := decide(v).Status
		r := running(started + time.Second)
		r.Status, r.State.StartedAt, r.State.Age = crashed, noon.Add(started), time.Second
		return decide(r).Status
	}
	if s := next(dead(10*time.Second), 11*time.Second); !s.GraceSince.Equal(noon) || s.Health != resource.HealthInitializing {
		t.Errorf("before: grace since %s, health %s", s.GraceSince, s.Health)
	}
	s := next(healthy(dead(10*time.Second), time.Second), 11*time.Second)
	if !s.GraceSince.Equal(noon.Add(11*time.Second)) || s.Health != resource.HealthInitializing || s.HealthySince != nil {
		t.Errorf("after: grace since %s, health %s", s.GraceSince, s.Health)
	}
}

func TestGraceSurvivesAClockSetBack(t *testing.T) {
	v := running(10 * time.Second)
	v.Now = noon.Add(-24 * time.Hour)
	if d := decide(v); d.Again > 30*time.Second {
		t.Errorf("again in %s", d.Again)
	}
}
