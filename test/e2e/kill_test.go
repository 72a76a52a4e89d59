package e2e

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
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
	tr := s.startTraffic(s.serving(4))
	cut := map[string]uint64{}
	for i, step := range []resource.RolloutPhase{
		resource.RolloutStarting, resource.RolloutShifting, resource.RolloutBaking, resource.RolloutFinishing,
	} {
		image := fmt.Sprintf("hello:1.%d.0", i+1)
		s.push(image, sample.Config{StartDelayMs: 500})
		rollout := s.roll(image)
		s.reaches(rollout, step)
		s.killOne(resource.Blue)
		s.killOne(resource.Green)
		s.eventually(time.Minute, "the rollout ends", func() (bool, error) {
			return s.rollout(rollout).Status.Phase.Terminal(), nil
		})
		maps.Copy(cut, s.counted("cut")) // of the versions that there are; the others' stand
		s.settled(s.set("hello").Status.Model.Version, 4)
	}
	stats := tr.end()
	maps.Copy(cut, s.counted("cut"))
	if total := sum(cut); stats.Errors > 0 || stats.Failed > total {
		t.Errorf("%d requests failed and %d errors, the gateway counts %d as cut:\n%s", stats.Failed, stats.Errors, total, strings.Join(stats.Failures, "\n"))
	}
	tr.nothingTwice()
	t.Logf("%d requests, %d failed at the client, cut %v", stats.Requests, stats.Failed, cut)
}

// What is in flight on an instance that dies: GETs go to the other one and are
// counted as retried, POSTs are cut, exactly those, and neither counts as failed.
func TestCutAndRetriedAreCountedRight(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2}.yaml())
	address := s.serving(2)
	const each = 6
	answers := map[string]chan int{http.MethodGet: make(chan int, 2*each), http.MethodPost: make(chan int, 2*each)}
	for method, statuses := range answers {
		for range 2 * each {
			go func() { statuses <- slowRequest(method, address) }()
		}
	}
	s.eventually(10*time.Second, "all requests are being handled", func() (bool, error) { return len(s.nonces()) == 4*each, nil })
	victim, held := s.busiest()
	check(t, syscall.Kill(victim.Status.PID, syscall.SIGKILL))
	good := map[string]int{}
	for method, statuses := range answers {
		for range 2 * each {
			if <-statuses == http.StatusOK {
				good[method]++
			}
		}
	}
	if held["GET"] == 0 || held["POST"] == 0 {
		t.Fatalf("the instance held %v: nothing to see", held)
	}
	if good["GET"] != 2*each || good["POST"] != 2*each-held["POST"] {
		t.Errorf("answered well: %v of %d each; the killed instance held %v", good, 2*each, held)
	}
	s.eventually(5*time.Second, "the gateway has counted", func() (bool, error) {
		return sum(s.counted("cut")) == uint64(held["POST"]) && sum(s.counted("retried")) == uint64(held["GET"]), nil
	})
	if failed := sum(s.counted("failed")); failed != 0 {
		t.Errorf("%d are counted as failed", failed)
	}
	for nonce, n := range s.nonces() {
		if n > 1 && strings.HasPrefix(nonce, "POST") {
			t.Errorf("%s ran %d times", nonce, n)
		}
	}
}

// busiest is the instance that handled most requests, with how many by method. On
// a slow machine the gateway may have held one for Unhealthy for a moment.
func (s *server) busiest() (most resource.Instance, held map[string]int) {
	s.t.Helper()
	total := 0
	for _, in := range s.instances() {
		nonces := s.noncesOf(in.Name)
		if len(nonces) < total {
			continue
		}
		most, held, total = in, map[string]int{}, len(nonces)
		for nonce := range nonces {
			method, _, _ := strings.Cut(nonce, " ")
			held[method]++
		}
	}
	return most, held
}

var nonceNumber atomic.Int64

// slowRequest returns the answer's status; 0: none.
func slowRequest(method, address string) int {
	req, err := http.NewRequest(method, "http://"+address+"/?ms=2000", nil)
	if err != nil {
		return 0
	}
	req.Header.Set(load.NonceHeader, fmt.Sprint("slow-", nonceNumber.Add(1)))
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}

func sum(m map[string]uint64) (total uint64) {
	for _, n := range m {
		total += n
	}
	return total
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

// counted is one of the gateway's counters by version, from the metrics that an
// operator sees.
func (s *server) counted(counter string) map[string]uint64 {
	s.t.Helper()
	out := map[string]uint64{}
	for _, line := range strings.Split(s.metrics(), "\n") {
		rest, ok := strings.CutPrefix(line, "drover_gateway_"+counter+"_total{")
		if !ok {
			continue
		}
		_, version, _ := strings.Cut(rest, `version="`)
		version, _, _ = strings.Cut(version, `"`)
		fields := strings.Fields(line)
		n, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		check(s.t, err)
		out[version] = uint64(n)
	}
	return out
}
