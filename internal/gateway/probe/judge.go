package probe

import "time"

// Result is what a prober found so far. Successes and Failures are consecutive:
// one of them is zero; both are before the first probe has ended.
type Result struct {
	Successes, Failures int
	At                  time.Time
	Error               string
}

// Judge says whether a process is healthy after a result: successes and failures
// must reach their thresholds to change what was believed.
func Judge(believed bool, r Result, healthyThreshold, unhealthyThreshold int) bool {
	switch {
	case r.Successes >= max(healthyThreshold, 1):
		return true
	case r.Failures >= max(unhealthyThreshold, 1):
		return false
	}
	return believed
}

// next is the result after one more probe.
func (r Result) next(at time.Time, err error) Result {
	if err == nil {
		return Result{Successes: r.Successes + 1, At: at}
	}
	return Result{Failures: r.Failures + 1, At: at, Error: err.Error()}
}

const firstRetry = 25 * time.Millisecond

// schedule is when a prober asks.
type schedule struct {
	interval time.Duration
	quick    time.Duration // the next wait while quick; 0 when steady
}

// after is how long to wait between the beginnings of two probes.
func (s *schedule) after(succeeded bool) time.Duration {
	if succeeded || s.quick == 0 {
		s.quick = 0
		return s.interval
	}
	wait := min(s.quick, s.interval)
	s.quick = min(2*s.quick, s.interval)
	return wait
}

func (s *schedule) hurry() { s.quick = min(firstRetry, s.interval) }
