package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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

// replaceGateway has the next gateway take over, by a new program or by a process of
// the same one, and notes when.
func (tr *traffic) replaceGateway() {
	tr.t.Helper()
	s, n := tr.s, len(tr.replaced)
	elder, r := s.servingGateway(), span{from: time.Now()}
	if n%2 == 0 {
		s.restartWith(tr.programs[n/2%2])
	} else {
		s.replaceGateway()
	}
	s.eventually(30*time.Second, "another gateway serves", func() (bool, error) { return s.servingGateway() != elder, nil })
	r.to = time.Now()
	tr.replaced = append(tr.replaced, r)
}

// servingGateway is the process that takes new connections, as it has recorded itself.
func (s *server) servingGateway() int {
	s.t.Helper()
	var id struct{ PID int }
	text, err := os.ReadFile(filepath.Join(s.data, "run", "gateway.json"))
	check(s.t, err)
	check(s.t, json.Unmarshal(text, &id))
	return id.PID
}

// gatewaysLeave waits until only the last one is there.
func (tr *traffic) gatewaysLeave() {
	tr.t.Helper()
	tr.s.eventually(2*time.Minute, "one gateway is left", func() (bool, error) { return len(tr.s.gateways()) == 1, nil })
}

// told checks that connections were closed by an answer that said so only where a
// gateway was replaced, and that those which were idle then were handed over.
func (tr *traffic) told(replacements int) {
	tr.t.Helper()
	busy, idle := tr.g.Stats().Told, tr.slow.Stats().Told
	tr.t.Logf("told to close: %d busy connections, %d that were idle most of the time", busy, idle)
	if replacements == 0 && busy+idle > 0 || idle > uint64(replacements*tr.slowOnes/2) {
		tr.t.Errorf("%d busy and %d idle connections were to be closed in %d replacements", busy, idle, replacements)
	}
}

// A gateway is replaced at each step of a rollout: it goes on, and its report counts
// what all of them counted.
func TestGatewayReplacedInARollout(t *testing.T) {
	s := startBeside(t)
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
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2, drain: "1s"}.yaml())
	address := s.serving(2)
	tr := s.startTrafficWith(load.Options{Address: address, Connections: 16, Rate: 300, PostEvery: 4, BodyBytes: 512, Reconnect: true}, 0)
	for i := range size(8, 60) {
		s.replaceGateway()
		time.Sleep(time.Duration(random.IntN(250)) * time.Millisecond)
		if list := s.gateways(); i%2 == 0 {
			s.kill()
			s.start()
		} else if len(list) > 0 {
			tr.killGatewayProcess(list[random.IntN(len(list))])
		}
		tr.reached("1.0.0")
	}
	s.gatewayPID() // there is one in the end
	tr.lostOnlyInFlight()
}

// `down` at any point of a replacement leaves nothing behind, with a server and without.
func TestDownInAReplacement(t *testing.T) {
	random := seeded(t)
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 1, drain: "1s"}.yaml())
	address := s.serving(1)
	for i := range size(6, 40) {
		tr := s.startTrafficWith(load.Options{Address: address, Connections: 2, Rate: 2}, 0)
		tr.startKinds(crowd{transfers: 1, bytes: 1 << 20}, address, address, "") // they keep the one that leaves
		s.replaceGateway()
		time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
		if i%2 == 0 {
			s.kill()
		}
		s.mustDrover("down")
		s.nothingRuns()
		tr.end() // what was on its way is lost
		if i%2 > 0 {
			check(t, s.cmd.Wait())
		}
		s.start()
		s.eventually(20*time.Second, "it answers again", func() (bool, error) { // documents may still say what was before
			address = s.serving(1)
			c, err := net.Dial("tcp", address)
			if err != nil {
				return false, nil
			}
			return true, c.Close()
		})
	}
}

// The metadata endpoint answers every call while gateways succeed each other. What is
// approved while one leaves is approved at the other, and acted on.
func TestMetadataInAReplacement(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(noticed(5, "PT10M").yaml())
	address := s.serving(5)
	endpoint := s.endpointOf("hello_0")
	ctx, stop := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	var answered atomic.Int64
	for range 4 {
		calls.Go(func() {
			for rest(ctx, 100*time.Millisecond) { // below what an instance may ask
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
