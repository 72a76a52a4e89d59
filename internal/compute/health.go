package compute

import (
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// evaluate gives s the health that the check's rules say, from what was observed
// of the process and its probes. It returns how long until the time alone would
// change that; 0: it won't.
//
// Until it was Healthy once, an instance is Initializing, and Unhealthy from the
// end of the grace period on. From then on failed probes count, whether or not
// there is grace left. Grace begins with a start or reimage, or with a restart
// after it was Healthy: a program that crashes before is not given more time.
func evaluate(v view, s *resource.InstanceStatus) (again time.Duration) {
	if v.State.Running {
		if passed, wait := v.passed(s); passed {
			if s.Health != resource.HealthHealthy || s.HealthySince == nil {
				s.Health, s.HealthySince = resource.HealthHealthy, &v.Now
			}
			return 0
		} else if s.HealthySince != nil {
			if s.Health == resource.HealthHealthy && v.failed() {
				s.Health = resource.HealthUnhealthy
			}
			return 0
		} else {
			again = wait
		}
	}
	if s.GraceSince == nil || s.Health == resource.HealthUnhealthy {
		return again
	}
	// A clock that was set back mustn't give more than the whole grace again.
	if s.GraceSince.After(v.Now) {
		s.GraceSince = &v.Now
	}
	left := time.Duration(v.Check.GracePeriod) - v.Now.Sub(*s.GraceSince)
	if left > 0 {
		return sooner(again, left)
	}
	s.Health = resource.HealthUnhealthy
	if v.State.Running && !v.Check.Process && v.probe() == nil {
		// Nobody has looked at it yet, which is no fault of its own.
		s.Health = resource.HealthUnknown
	}
	return again
}

// passed reports whether the process counts as healthy now. With a check of the
// process alone, wait is how long until it does.
func (v view) passed(s *resource.InstanceStatus) (ok bool, wait time.Duration) {
	if v.Check.Process {
		wait = time.Duration(v.Check.GracePeriod) - v.State.Age
		return wait <= 0, max(0, wait)
	}
	p := v.probe()
	if p == nil || v.Foreign {
		return false, 0
	}
	if s.Health == resource.HealthHealthy {
		return p.Failures == 0, 0
	}
	return p.Successes >= max(1, v.Check.HealthyThreshold), 0
}

// failed reports whether a healthy instance has failed often enough.
func (v view) failed() bool {
	p := v.probe()
	return v.Foreign || p != nil && p.Failures >= max(1, v.Check.UnhealthyThreshold)
}

// probe is the result that is about the process that runs, or nil.
func (v view) probe() *ProbeResult {
	if v.Probe == nil || !v.Probe.StartedAt.Equal(v.State.StartedAt) {
		return nil
	}
	return v.Probe
}

// sooner is the smaller of two waits of which 0 means none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
