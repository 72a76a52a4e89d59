package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// seeded is random from DROVER_TEST_SEED, or from a seed that is printed.
func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("DROVER_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		check(t, err)
	}
	t.Logf("DROVER_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// kill -9 of the control process at random points of rollouts, good and bad ones.
func TestControlKilledAtRandomPointsLosesNothing(t *testing.T) {
	random := seeded(t)
	// Two colours of three and one to spare: a port that leaks is missed soon.
	s := startServer(t, "--port-range", "20900-20906")
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 3, bake: "700ms", drain: "1s", keep: "2s"}.yaml())
	load := s.startTraffic(s.serving(3))
	current, points, kills := "1.0.0", map[resource.RolloutPhase]int{}, 0
	for i := 1; kills < size(10, 50); i++ {
		next, bad := fmt.Sprintf("1.%d.0", i), i%3 == 0
		s.push("hello:"+next, sample.Config{NeverHealthy: bad})
		rollout := s.roll("hello:" + next)
		for range 1 + random.IntN(2) {
			time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
			if phase := s.rollout(rollout).Status.Phase; !phase.Terminal() {
				points[phase]++
				kills++
			}
			s.kill()
			s.start()
		}
		if bad {
			s.ends(rollout, resource.RolloutRolledBack)
		} else {
			s.ends(rollout, resource.RolloutSucceeded)
			current = next
		}
		s.settled(current, 3)
		load.reached(current)
	}
	t.Logf("killed %d times in rollouts: %v", kills, points)
	load.zeroFailed()
}

// kill -9 of the gateway under load that opens new connections: none is refused,
// and nothing is lost but what was in flight.
func TestGatewayKilledRefusesNoConnection(t *testing.T) {
	random := seeded(t)
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2}.yaml())
	tr := s.startTrafficWith(load.Options{Address: s.serving(2), Connections: 32, Rate: 400, PostEvery: 4, BodyBytes: 512, Reconnect: true}, 0)
	for range size(5, 20) {
		time.Sleep(time.Duration(300+random.IntN(700)) * time.Millisecond)
		tr.killGateway()
		tr.reached("1.0.0")
	}
	tr.lostOnlyInFlight()
}

// span is when something happened, as well as that can be known.
type span struct{ from, to time.Time }

// Both processes killed at once: what was accepted is lost, instances are not.
func TestControlAndGatewayKilledTogether(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.apply(policy{capacity: 2, bake: "1s"}.yaml())
	s.serving(2)
	rollout := s.roll("hello:2.0.0")
	s.reaches(rollout, resource.RolloutBaking)
	before := s.instances()
	check(t, syscall.Kill(s.gatewayPID(), syscall.SIGKILL))
	s.kill()
	s.start()
	s.ends(rollout, resource.RolloutSucceeded)
	s.settled("2.0.0", 2)
	s.untouched(before)
	check(t, fetchPlain(s.address("front")))
}
