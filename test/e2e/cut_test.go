package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// SIGKILL of instances of each colour at each step: idempotent requests go to
// another instance, the rest is cut and counted, nothing else fails, nothing runs twice.
func TestInstancesKilledAtEachStep(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 4, bake: "1s", drain: "3s", stop: "1s"}.yaml())
	// Slow enough that each instance has some in flight when it is killed.
	tr := s.startTrafficWith(load.Options{Address: s.serving(4), Path: "/?ms=40", Connections: 32, Rate: 400, PostEvery: 4, BodyBytes: 2048}, 4)
	cut := map[string]uint64{}
	for i, step := range []resource.RolloutPhase{
		resource.RolloutStarting, resource.RolloutShifting, resource.RolloutBaking, resource.RolloutRollingBack, resource.RolloutFinishing,
	} {
		image := fmt.Sprintf("hello:1.%d.0", i+1)
		s.push(image, sample.Config{StartDelayMs: 500, IgnoreTerm: true})
		rollout := s.roll(image)
		release := func() {}
		switch step {
		case resource.RolloutShifting:
			release = s.holdShifting(rollout)
		case resource.RolloutRollingBack:
			s.reaches(rollout, resource.RolloutBaking)
			s.mustDrover("rollout", "rollback", "hello")
		}
		s.reaches(rollout, step)
		if phase := s.rollout(rollout).Status.Phase; phase != step {
			t.Errorf("%s is %s, its instances were to be killed when it is %s", rollout, phase, step)
		}
		s.killOne(resource.Blue)
		s.killOne(resource.Green)
		release()
		s.endsEitherWay(rollout, func() { maps.Copy(cut, s.counted("cut")) }) // a version's count goes with it
		s.settled(s.set("hello").Status.Model.Version, 4)
	}
	stats := tr.end()
	maps.Copy(cut, s.counted("cut"))
	tr.lostOnlyWhatWasCut(stats, sum(cut))
	tr.nothingTwice()
	t.Logf("%d requests, %d failed at the client, cut %v", stats.Requests, stats.Failed, cut)
}

// lostOnlyWhatWasCut: what the clients miss is what the gateway says was cut, and
// none of it could have been sent again.
func (tr *traffic) lostOnlyWhatWasCut(stats load.Stats, cut uint64) {
	tr.t.Helper()
	lost := stats.Failed
	for _, v := range tr.visitors {
		lost += uint64(len(v.losses))
	}
	if lost != cut || cut == 0 || stats.Errors > 0 {
		tr.t.Errorf("%d requests and %d WebSockets were lost and %d errors answered, the gateway counts %d as cut:\n%s",
			stats.Failed, lost-stats.Failed, stats.Errors, cut, listed(stats.Failures))
	}
	for _, f := range stats.Failures {
		if !f.Post {
			tr.t.Errorf("could have been sent again: %s", f)
		}
	}
	if failed := sum(tr.s.counted("failed")); failed > 0 {
		tr.t.Errorf("the gateway counts %d as failed", failed)
	}
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

// slowRequest returns the answer's status; 0: none.
func slowRequest(method, address string) int {
	req, err := http.NewRequest(method, "http://"+address+"/?ms=2000", nil)
	if err != nil {
		return 0
	}
	req.Header.Set(load.NonceHeader, newNonce("slow"))
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

// killOne kills an instance of a colour, as soon as one runs.
func (s *server) killOne(c resource.Colour) {
	s.t.Helper()
	s.eventually(10*time.Second, fmt.Sprintf("one of the %s instances is killed", c), func() (bool, error) {
		for _, in := range s.instances() {
			if in.Status.Colour == c && in.Status.PID > 0 {
				return true, syscall.Kill(in.Status.PID, syscall.SIGKILL)
			}
		}
		return false, nil
	})
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
