package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

func itoa(n int) string { return strconv.Itoa(n) }

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
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 3, bake: "700ms", drain: "1s", keep: "2s"}.yaml())
	load := s.startTraffic(s.serving(3))
	current := "1.0.0"
	for i := range size(10, 50) {
		next := fmt.Sprintf("1.%d.0", i+1)
		config := sample.Config{}
		if i%3 == 2 {
			config.NeverHealthy = true
		}
		s.push("hello:"+next, config)
		rollout := s.roll("hello:" + next)
		for range 1 + random.IntN(2) {
			time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
			s.kill()
			s.start()
		}
		want := resource.RolloutSucceeded
		if config.NeverHealthy {
			want = resource.RolloutRolledBack
		} else {
			current = next
		}
		s.ends(rollout, want)
		s.settled(current, 3)
	}
	load.zeroFailed()
}

// kill -9 of the gateway under load that opens new connections: none is refused,
// and no more is lost than was in flight.
func TestGatewayKilledRefusesNoConnection(t *testing.T) {
	random := seeded(t)
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2}.yaml())
	address := s.serving(2)
	const connections = 32
	tr := s.startTrafficWith(load.Options{Address: address, Connections: connections, Rate: 400, PostEvery: 4, BodyBytes: 512, Reconnect: true}, 0)
	for range size(5, 20) {
		time.Sleep(time.Duration(300+random.IntN(700)) * time.Millisecond)
		before := tr.g.Stats()
		pid := s.gatewayPID()
		check(t, syscall.Kill(pid, syscall.SIGKILL))
		killed := time.Now()
		s.eventually(20*time.Second, "another gateway serves", func() (bool, error) {
			now := tr.g.Stats()
			return now.Requests-now.Failed > before.Requests-before.Failed+connections, nil
		})
		t.Logf("serving again %s after the kill", time.Since(killed).Round(time.Millisecond))
		if lost := tr.g.Stats().Failed - before.Failed; lost > connections {
			t.Errorf("%d requests were lost, at most %d can have been in flight", lost, connections)
		}
	}
	stats := tr.end()
	if stats.Refused > 0 {
		t.Errorf("%d connections were refused: %s", stats.Refused, strings.Join(stats.Failures, "\n"))
	}
	tr.nothingTwice()
}

// Both processes killed at once: what was accepted is lost, instances are not.
func TestControlAndGatewayKilledTogether(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.apply(policy{capacity: 2, bake: "1s"}.yaml())
	s.serving(2)
	rollout := s.roll("hello:2.0.0")
	s.reaches(rollout, resource.RolloutBaking)
	check(t, syscall.Kill(s.gatewayPID(), syscall.SIGKILL))
	s.kill()
	s.start()
	s.ends(rollout, resource.RolloutSucceeded)
	s.settled("2.0.0", 2)
}

// SIGKILL of instances of each colour at each step: idempotent requests go to
// another instance, the rest is cut and counted, nothing else fails, nothing runs twice.
func TestInstancesKilledAtEachStep(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 4, bake: "3s", drain: "1s", startTimeout: "40s"}.yaml())
	address := s.serving(4)
	tr := s.startTraffic(address)
	steps := []resource.RolloutPhase{resource.RolloutStarting, resource.RolloutShifting, resource.RolloutBaking, resource.RolloutFinishing}
	for i, step := range steps {
		image := fmt.Sprintf("hello:1.%d.0", i+1)
		s.push(image, sample.Config{StartDelayMs: 500})
		rollout := s.roll(image)
		s.reaches(rollout, step)
		s.killOne(resource.Blue)
		s.killOne(resource.Green)
		s.eventually(time.Minute, "the rollout ends", func() (bool, error) {
			return s.rollout(rollout).Status.Phase.Terminal(), nil
		})
		s.settled(s.set("hello").Status.Model.Version, 4)
	}
	stats := tr.end()
	counted := s.cut()
	if stats.Errors > 0 || stats.Failed > counted {
		t.Errorf("%d requests failed and %d errors, the gateway counts %d as cut:\n%s", stats.Failed, stats.Errors, counted, strings.Join(stats.Failures, "\n"))
	}
	tr.nothingTwice()
	t.Logf("%d requests, %d failed of the client's, %d cut", stats.Requests, stats.Failed, counted)
}

// killOne kills an instance of a colour, if one runs.
func (s *server) killOne(c resource.Colour) {
	for _, in := range s.instances() {
		if in.Status.Colour == c && in.Status.PID > 0 {
			syscall.Kill(in.Status.PID, syscall.SIGKILL)
			return
		}
	}
}

// cut is what the gateway counts as cut, from the metrics that an operator sees.
func (s *server) cut() uint64 {
	s.t.Helper()
	var total uint64
	for _, line := range strings.Split(s.metrics(), "\n") {
		if strings.HasPrefix(line, "drover_gateway_") && strings.Contains(line, "cut") && !strings.HasPrefix(line, "#") {
			fields := strings.Fields(line)
			n, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			check(s.t, err)
			total += uint64(n)
		}
	}
	return total
}
