package control

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestNobodyWaitsForLongerThanNeeded: every moment here is one without a gateway.
func TestNobodyWaitsForLongerThanNeeded(t *testing.T) {
	const never = time.Hour
	for _, c := range []struct {
		name        string
		ends, opens time.Duration
		alive       bool
		after       time.Duration
	}{
		{"on its way out", 42 * time.Millisecond, never, false, 45 * time.Millisecond},
		{"just about to listen", never, 12 * time.Millisecond, true, 15 * time.Millisecond},
		{"neither", never, never, true, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			past := func(d time.Duration) bool { return time.Since(begun) >= d }
			alive := becomesClear(t.Context(), func() bool { return !past(c.ends) }, func() bool { return past(c.opens) })
			if took := time.Since(begun); alive != c.alive || took != c.after {
				t.Errorf("%s: alive %v after %s, not %v after %s", c.name, alive, took, c.alive, c.after)
			}
		})
	}
}
