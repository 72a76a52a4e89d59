package compute

import (
	"time"
)

// Probes are the results of the sets' health checks. The gateway makes them: it
// is there while Drover itself restarts, and asks over the way that traffic takes.
type Probes interface {
	// Probe returns what is known of an instance; false: nothing.
	Probe(instance string) (ProbeResult, bool)
}

// ProbeResult is the outcome of an instance's health check so far.
type ProbeResult struct {
	// StartedAt is the start of the process that was probed.
	StartedAt time.Time
	// Successes and Failures are consecutive: one of them is zero.
	Successes, Failures int
	LastAt              time.Time
	LastError           string
}
