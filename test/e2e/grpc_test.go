package e2e

import (
	"testing"
	"time"
)

// callers are connections of gRPC, with streams and calls, and a little else.
func callers() crowd { return crowd{keepAlive: 2, calls: size(3, 6)} }

// gRPC through a balancer that speaks HTTP/2 to its instances: no call is lost by
// flips, and every stream has the whole of its drain and then a status to call again.
func TestGRPCThroughFlips(t *testing.T) {
	tr := startEverything(t, callers())
	flips := size(3, 20)
	for i := range flips {
		tr.flip(i+1, 3, nil)
		tr.s.noLeaks()
	}
	tr.nothingLost(flips)
	tr.s.backTo(tr.before)
}

// An instance that dies takes what it had with it, and nothing else: the gateway
// counts exactly that as cut, and no call runs twice.
func TestGRPCAndInstancesKilled(t *testing.T) {
	tr := startEverything(t, callers())
	s := tr.s
	for n := 0; n < size(4, 12) || n < 50 && sum(s.counted("cut")) == 0; n++ { // the streams may all be with others
		s.killOne(s.set("hello").Status.Colour)
		time.Sleep(500 * time.Millisecond)
		s.settled("1.0.0", 3)
	}
	tr.end()
	tr.nothingTwice()
	lost := 0
	for _, stats := range tr.generated() {
		lost += int(stats.Failed)
	}
	for _, v := range tr.visitors {
		lost += len(v.losses) + len(v.ends) // a stream is told that its instance is gone
		if v.answered == 0 {
			t.Errorf("%s had nothing answered", v.name)
		}
	}
	cut, failed := sum(s.counted("cut")), sum(s.counted("failed"))
	if lost != int(cut) || failed > 0 || cut == 0 {
		t.Errorf("%d were lost, the gateway counts %d as cut and %d as failed", lost, cut, failed)
	}
}
