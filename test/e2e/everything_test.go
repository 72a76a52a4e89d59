package e2e

import (
	"testing"
	"time"
)

// Everything stays up through flips with canaries, in which only instances are drained.
func TestEverythingThroughFlips(t *testing.T) {
	tr := startEverything(t, everybody())
	flips := size(5, 20)
	for i := range flips {
		tr.flip(i+1, 3, nil)
		tr.s.noLeaks()
	}
	tr.nothingLost(flips)
	tr.told(0)
	tr.s.backTo(tr.before)
}

// Everything stays up while one gateway after the other takes over.
func TestEverythingThroughReplacements(t *testing.T) {
	random := seeded(t)
	tr := startEverything(t, everybody())
	replacements := size(3, 10)
	for range replacements {
		time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
		tr.replaceGateway()
		tr.gatewaysLeave()
	}
	tr.nothingLost(replacements)
	tr.told(replacements)
	tr.s.settled("1.0.0", 3)
	tr.s.backTo(tr.before)
}

// Both at once: gateways are replaced at random points of flips.
func TestEverythingThroughBoth(t *testing.T) {
	random := seeded(t)
	tr := startEverything(t, everybody())
	flips, replacements := size(5, 20), size(3, 10)
	for i := range flips {
		at := time.Now().Add(time.Duration(random.IntN(5000)) * time.Millisecond)
		tr.flip(i+1, 3, func() {
			if len(tr.replaced) < replacements && len(tr.replaced) <= i/2 && time.Now().After(at) {
				tr.replaceGateway()
			}
		})
	}
	if len(tr.replaced) != replacements {
		t.Errorf("%d gateways were replaced within flips, not %d", len(tr.replaced), replacements)
	}
	tr.nothingLost(flips)
	tr.told(replacements)
	tr.gatewaysLeave()
	tr.s.settled(tr.s.set("hello").Status.Model.Version, 3)
	tr.s.backTo(tr.before)
}

// kill -9 of the gateway under everything: what was in flight is lost, and nothing
// else; a connection that is opened then waits until the next one serves.
func TestEverythingAndTheGatewayKilled(t *testing.T) {
	random := seeded(t)
	tr := startEverything(t, everybody())
	for range size(5, 20) {
		time.Sleep(time.Duration(300+random.IntN(1000)) * time.Millisecond)
		tr.killGateway()
	}
	tr.reached("1.0.0")
	tr.lostOnlyInFlight()
	tr.s.backTo(tr.before)
}
