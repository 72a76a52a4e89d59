package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// anotherBuild is the same source in another file with other content.
func anotherBuild(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "drover")
	out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", to, "../../cmd/drover").CombinedOutput()
	if err != nil {
		t.Fatalf("build another: %v\n%s", err, out)
	}
	return to
}

// restartWith ends the control process and starts another program's.
func (s *server) restartWith(program string) {
	s.t.Helper()
	s.stop()
	s.program = program
	s.start()
}

// replaceGateway is what an operator does without a new program.
func (s *server) replaceGateway() {
	s.t.Helper()
	check(s.t, s.cmd.Process.Signal(syscall.SIGUSR2))
}

// replaced waits until another gateway serves and the one before has ended.
func (s *server) replaced(before int) (took time.Duration) {
	s.t.Helper()
	began := time.Now()
	s.eventually(time.Minute, "another gateway serves", func() (bool, error) {
		list := s.gateways()
		return len(list) == 1 && list[0] != before, nil
	})
	return time.Since(began)
}

// New programs and new processes of the same one, under everything that clients do:
// nothing fails, and a connection that waits for its next request never ends.
func TestGatewayReplacedUnderLoadLosesNothing(t *testing.T) {
	s := startServer(t)
	programs := []string{anotherBuild(t), drover}
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2, drain: "3s"}.yaml())
	address := s.serving(2)
	tr := s.startTraffic(address)
	clients := s.startSteady(address, 32, time.Duration(size(2, 5))*time.Second, size(12<<20, 50<<20))
	for i := range size(3, 10) {
		before := s.gatewayPID()
		if i%2 == 0 {
			s.restartWith(programs[i/2%2])
		} else {
			s.replaceGateway()
		}
		t.Logf("replacement %d took %s until the one before had ended", i, s.replaced(before).Round(time.Millisecond))
		tr.reached("1.0.0")
	}
	s.eventually(30*time.Second, "each idle connection was used afterwards", func() (bool, error) {
		return clients.idle.Load() > int64(32*size(3, 10)), nil
	})
	clients.end()
	tr.zeroFailed()
	if failed, cut := s.counted("failed"), s.counted("cut"); sum(failed)+sum(cut) > 0 {
		t.Errorf("the gateway counts as failed %v, as cut %v", failed, cut)
	}
}

// A gateway is replaced at each step of a rollout: it goes on, and its report counts
// what all of them counted.
func TestGatewayReplacedInARollout(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2, bake: "2s", drain: "2s", blueGreen: ", minSample: 50, requireAnalysis: true, validate: {path: /selftest}, canary: [{percent: 25, hold: 4s}]"}.yaml())
	tr := s.startTraffic(s.serving(2))
	for i, phase := range []resource.RolloutPhase{resource.RolloutStarting, resource.RolloutShifting, resource.RolloutBaking, resource.RolloutFinishing} {
		image := fmt.Sprintf("hello:1.%d.0", i+1)
		s.push(image, sample.Config{})
		before := s.gatewayPID()
		rollout := s.roll(image)
		s.reaches(rollout, phase)
		s.replaceGateway()
		r := s.ends(rollout, resource.RolloutSucceeded)
		if steps := stepsOf(r); strings.Contains(steps, "Inconclusive") {
			t.Errorf("replaced in %s, an analysis is inconclusive:\n%s", phase, steps)
		}
		s.replaced(before)
		s.settled(version(image), 2)
		s.validatedOnce()
		tr.reached(version(image))
	}
	tr.zeroFailed()
}

// validatedOnce holds the workloads' notes against what a gateway asks of a process
// once, whichever gateway it is.
func (s *server) validatedOnce() {
	s.t.Helper()
	for _, in := range s.instances() {
		if n := s.noncesOf(in.Name)["GET selftest"]; n != 1 {
			s.t.Errorf("%s was validated %d times", in.Name, n)
		}
	}
}

// Control process and gateways killed at random points of replacements: the next
// control process finds what there is, and nothing is lost that was not in flight
// at a gateway that was killed.
func TestReplacementsBrokenOff(t *testing.T) {
	random := seeded(t)
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2, drain: "1s"}.yaml())
	address := s.serving(2)
	tr := s.startTrafficWith(load.Options{Address: address, Connections: 16, Rate: 300, PostEvery: 4, BodyBytes: 512, Reconnect: true}, 0)
	var kills []span
	for i := range size(8, 60) {
		s.replaceGateway()
		time.Sleep(time.Duration(random.IntN(250)) * time.Millisecond)
		if i%2 == 0 {
			s.kill()
			s.start()
		} else {
			kills = append(kills, s.killAGateway(random))
		}
		before := tr.g.Stats()
		s.eventually(20*time.Second, "requests are answered", func() (bool, error) {
			now := tr.g.Stats()
			return now.Requests-now.Failed > before.Requests-before.Failed+50, nil
		})
	}
	stats := tr.end()
	if stats.Refused > 0 {
		t.Errorf("%d connections were refused:\n%s", stats.Refused, listed(stats.Failures))
	}
	for _, f := range stats.Failures {
		if !slices.ContainsFunc(kills, func(kill span) bool { return f.Sent.Before(kill.to) && f.Ended.After(kill.from) }) {
			t.Errorf("was lost without being in flight at a kill: %s", f)
		}
	}
	s.gatewayPID() // there is one in the end
	tr.nothingTwice()
	t.Logf("%d gateways killed, %d requests, %d lost in flight", len(kills), stats.Requests, stats.Failed)
}

func (s *server) killAGateway(random *rand.Rand) span {
	s.t.Helper()
	list := s.gateways()
	kill := span{from: time.Now()}
	if len(list) > 0 {
		_ = syscall.Kill(list[random.IntN(len(list))], syscall.SIGKILL)
	}
	kill.to = time.Now()
	return kill
}

// `down` at any point of a replacement leaves nothing behind, with a server and without.
func TestDownInAReplacement(t *testing.T) {
	random := seeded(t)
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 1, drain: "1s"}.yaml())
	address := s.serving(1)
	for i := range size(6, 40) {
		clients := s.startSteady(address, 2, 10*time.Second, 1<<20) // transfers keep the one that leaves
		s.replaceGateway()
		time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
		clients.forgive()
		if i%2 == 0 {
			s.kill()
		}
		s.mustDrover("down")
		s.nothingRuns()
		clients.stop()
		if i%2 > 0 {
			check(t, s.cmd.Wait())
		}
		s.start()
		address = s.serving(1)
	}
}

// The metadata endpoint answers every call while gateways succeed each other. What is
// approved while one leaves is approved at the other, and acted on.
func TestMetadataInAReplacement(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(noticed(5, "PT10M").yaml())
	address := s.serving(5)
	endpoint := s.endpointOf("hello_0")
	ctx, stop := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	var answered atomic.Int64
	for range 4 {
		calls.Go(func() {
			for pause(ctx, 100*time.Millisecond) { // below what an instance may ask
				if status, body := metadata(t, http.MethodGet, endpoint, ""); status != http.StatusOK {
					t.Errorf("%d %s", status, body)
				}
				answered.Add(1)
			}
		})
	}
	for left := 4; left > 0; left-- {
		victim := fmt.Sprintf("hello_%d", left)
		s.mustDrover("scale", "hello", fmt.Sprint(left))
		event := s.underNotice(victim).Status.Notice.EventID
		s.eventually(5*time.Second, "the event is told", func() (bool, error) {
			_, body := metadata(t, http.MethodGet, endpoint, "")
			return strings.Contains(body, event), nil
		})
		before := s.gatewayPID()
		calls.Go(func() { slowRequest(http.MethodGet, address) }) // keeps the one that leaves
		s.replaceGateway()
		s.eventually(20*time.Second, "another gateway serves", func() (bool, error) {
			text, err := os.ReadFile(filepath.Join(s.data, "run", "gateway.json"))
			return err == nil && !strings.Contains(string(text), fmt.Sprintf(`"pid":%d,`, before)), nil
		})
		status, body := metadata(t, http.MethodPost, endpoint, fmt.Sprintf(`{"StartRequests":[{"EventId":%q}]}`, event))
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		s.gone(20*time.Second, victim)
		s.replaced(before)
	}
	stop()
	calls.Wait()
	t.Logf("%d calls answered", answered.Load())
}
