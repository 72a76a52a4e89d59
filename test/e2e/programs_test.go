package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/client/imagepush"
	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// lightTraffic is enough to see a lost request in stories that run beside others.
func (s *server) lightTraffic(address string) *traffic {
	return s.startTrafficWith(load.Options{Address: address, Connections: 8, Rate: 100, PostEvery: 4, BodyBytes: 512}, 1)
}

// knownBadVersion checks that a set remembers what it left, and says so.
func (s *server) knownBadVersion(version string) {
	s.t.Helper()
	bad := s.set("hello").Status.BadModels
	if len(bad) != 1 || bad[0].Model.Version != version {
		s.t.Errorf("badModels is %+v, not version %s", bad, version)
	}
	c := ownSet{s, "hello"}.condition(resource.ConditionSpecNotRunning, "KnownBad")
	says(s.t, c.Message, version)
}

// A program that ignores SIGTERM is killed after stopTimeout, in a rollout, a
// scale-in and a down.
func TestProgramThatIgnoresTerm(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{IgnoreTerm: true})
	s.push("hello:2.0.0", sample.Config{IgnoreTerm: true})
	s.apply(policy{capacity: 2, bake: "100ms", keep: "100ms", drain: "1s", stop: "500ms"}.yaml())
	load := s.lightTraffic(s.serving(2))
	s.ends(s.roll("hello:2.0.0"), resource.RolloutSucceeded)
	s.eventually(20*time.Second, "the old instances are gone", func() (bool, error) { return len(s.instances()) == 2, nil })
	s.settled("2.0.0", 2)
	s.mustDrover("scale", "hello", "1")
	s.settled("2.0.0", 1)
	load.zeroFailed()
	s.mustDrover("down")
	if left := s.processes(); len(left) > 0 {
		t.Errorf("down left %v", left)
	}
}

// What cannot become healthy never gets traffic; each reason is told.
func TestVersionsThatNeverServe(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2, grace: "2s", drain: "1s"}.yaml())
	load := s.lightTraffic(s.serving(2))
	s.push("hello:2.0.0", sample.Config{NeverHealthy: true})
	s.push("hello:3.0.0", sample.Config{ExitCode: 3})
	s.pushProgram("hello:4.0.0", "./nothing")
	s.pushProgram("hello:5.0.0", "./text")
	for image, why := range map[string][]string{
		"hello:2.0.0": {"health check", "503"},
		"hello:3.0.0": {"Unhealthy", "exit code 3"},
		"hello:4.0.0": {"./nothing", "no such file"},
		"hello:5.0.0": {"./text", "permission denied"},
	} {
		before := s.instances()
		r := s.ends(s.roll(image), resource.RolloutRolledBack)
		says(t, r.Status.Reason, why...)
		s.settled("1.0.0", 2)
		s.untouched(before)
		for _, traffic := range r.Status.Report.Traffic {
			if traffic.Version == version(image) {
				t.Errorf("%s had traffic: %+v", image, traffic)
			}
		}
	}
	if bad := s.set("hello").Status.BadModels; len(bad) != 4 {
		t.Errorf("badModels is %+v", bad)
	}
	load.zeroFailed()
}

// pushProgram publishes a version that starts with entrypoint; "text" is a file
// that cannot be executed.
func (s *server) pushProgram(ref, entrypoint string) {
	s.t.Helper()
	folder := s.t.TempDir()
	check(s.t, os.WriteFile(filepath.Join(folder, "text"), []byte("no program\n"), 0o644))
	image, err := imagepush.Build(s.ctx(), imagepush.Options{
		Layers: []imagepush.Folder{{Path: folder}}, Entrypoint: []string{entrypoint},
	})
	check(s.t, err)
	check(s.t, s.client.PushImage(s.ctx(), ref, image, nil))
}

// A version that is healthy, takes all traffic and then fails in the bake: traffic
// goes back and no request is lost.
func TestHealthyThenFailing(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{FailAfterRequests: 40})
	s.apply(policy{capacity: 2, bake: "1m", drain: "1s"}.yaml())
	load := s.lightTraffic(s.serving(2))
	r := s.ends(s.roll("hello:2.0.0"), resource.RolloutRolledBack)
	says(t, r.Status.Reason, "hello_", "health check", "500")
	s.settled("1.0.0", 2)
	s.knownBadVersion("2.0.0")
	load.zeroFailed()
	if stats := load.g.Stats(); stats.ByVersion["2.0.0"] == 0 || stats.ByVersion["1.0.0"] == 0 {
		t.Errorf("answered by %v", stats.ByVersion)
	}
	if len(r.Status.Report.Drains) == 0 {
		t.Error("the drain of the new version is not in the report")
	}
}

// More of the workload's own errors than maxErrorRate allows, from minRequests on.
func TestErrorRateRollsBack(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{ErrorEvery: 5})
	s.push("hello:3.0.0", sample.Config{ErrorEvery: 40})
	s.apply(policy{capacity: 1, bake: "1m", drain: "1s", blueGreen: ", maxErrorRate: 10%, minRequests: 50"}.yaml())
	load := s.lightTraffic(s.serving(1))
	r := s.ends(s.roll("hello:2.0.0"), resource.RolloutRolledBack)
	says(t, r.Status.Reason, "2.0.0", "10%", "maxErrorRate")
	s.settled("1.0.0", 1)
	s.knownBadVersion("2.0.0")
	// Some errors, but fewer than that: it stays.
	s.apply(policy{capacity: 1, bake: "2s", drain: "1s", image: "hello:3.0.0", blueGreen: ", maxErrorRate: 10%, minRequests: 50"}.yaml())
	s.ends(s.set("hello").Status.Rollout, resource.RolloutSucceeded)
	stats := load.end()
	if stats.Failed > 0 || stats.Errors == 0 {
		t.Errorf("%d failed, %d errors:\n%s", stats.Failed, stats.Errors, listed(stats.Failures))
	}
	var counted uint64
	for _, traffic := range r.Status.Report.Traffic {
		counted += traffic.Errors
	}
	if counted < 5 {
		t.Errorf("the report counts %d errors: %+v", counted, r.Status.Report.Traffic)
	}
}

func TestStartTimeout(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{StartDelayMs: 60_000})
	s.apply(policy{capacity: 1, startTimeout: "2s", grace: "1m", stop: "500ms"}.yaml())
	s.serving(1)
	r := s.ends(s.roll("hello:2.0.0"), resource.RolloutRolledBack)
	says(t, r.Status.Reason, "2s", "startTimeout")
	s.settled("1.0.0", 1)
}

// rollbackOnFailure: false keeps the failed colour for keepPrevious, without
// traffic, and then removes it. It is no rollback target.
func TestFailedColourIsKept(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{FailAfterRequests: 20})
	s.apply(policy{capacity: 1, bake: "1m", keep: "4s", drain: "1s", more: "    rollbackOnFailure: false"}.yaml())
	load := s.lightTraffic(s.serving(1))
	r := s.ends(s.roll("hello:2.0.0"), resource.RolloutFailed)
	says(t, r.Status.Reason, "Unhealthy")
	previous := s.set("hello").Status.Previous
	if previous == nil || !previous.Failed || previous.Model.Version != "2.0.0" {
		t.Fatalf("kept is %+v", previous)
	}
	var failed *resource.Instance
	for _, in := range s.instances() {
		if in.Status.Version == "2.0.0" {
			failed = &in
		}
	}
	if failed == nil || failed.Status.Admission != resource.AdmissionOut || syscall.Kill(failed.Status.PID, 0) != nil {
		t.Fatalf("the failed instance is %+v", failed)
	}
	says(t, s.mustDrover("logs", failed.Name), "serving version 2.0.0")
	_, err := s.client.Rollback(s.ctx(), r.Name)
	refused(t, err, resource.CodeNotRollbackable, "Failed")
	s.knownBadVersion("2.0.0")
	s.eventually(20*time.Second, "the failed colour is gone", func() (bool, error) {
		return len(s.instances()) == 1 && s.set("hello").Status.Previous == nil, nil
	})
	s.settled("1.0.0", 1)
	load.zeroFailed()
}

// What listens on the next port of the range already is stepped over, and no
// restart is counted; also when the port was taken while its instance was down.
func TestPortAlreadyTaken(t *testing.T) {
	args, port := beside(t)
	taken, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
	check(t, err)
	defer taken.Close()
	s := startServer(t, args...)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 1}.yaml())
	s.serving(1)
	in := s.instances()[0]
	if want := fmt.Sprint("127.0.0.1:", port+1); in.Status.Address != want || in.Status.Restarts != 0 {
		t.Fatalf("it listens on %s after %d restarts, want %s after none", in.Status.Address, in.Status.Restarts, want)
	}

	s.kill() // so that nobody starts it again before its port is taken
	check(t, syscall.Kill(in.Status.PID, syscall.SIGKILL))
	var second net.Listener
	s.eventually(5*time.Second, "the port is free", func() (bool, error) {
		var err error
		second, err = net.Listen("tcp", in.Status.Address)
		return err == nil, nil
	})
	defer second.Close()
	s.start()
	want := fmt.Sprint("127.0.0.1:", port+2)
	s.eventually(20*time.Second, "it serves on "+want, func() (bool, error) {
		now := s.instances()[0]
		return now.Status.Address == want && now.Status.Health == resource.HealthHealthy, nil
	})
	if now := s.instances()[0]; now.Status.Restarts > 1 {
		t.Errorf("%d restarts are counted for one end", now.Status.Restarts)
	}
}

// The blobs of the gallery vanish behind Drover's back: a rollout and a scale-out
// fail and say why, what runs keeps serving, and a push repairs it.
func TestBlobsThatVanished(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.apply(policy{capacity: 1, grace: "2s", drain: "1s"}.yaml())
	load := s.lightTraffic(s.serving(1))
	s.loseBlobs()

	r := s.ends(s.roll("hello:2.0.0"), resource.RolloutRolledBack)
	says(t, r.Status.Reason, "hello:2.0.0", "gallery")
	s.settled("1.0.0", 1)

	s.mustDrover("scale", "hello", "2")
	s.eventually(20*time.Second, "the instance that cannot be made says why", func() (bool, error) {
		for _, in := range s.instances() {
			for _, c := range in.Status.Conditions {
				if in.Status.Phase == resource.InstanceFailed && strings.Contains(c.Message, "hello:1.0.0") {
					return true, nil
				}
			}
		}
		return false, nil
	})
	s.serving(1)
	s.base = nil // with its blobs gone, all of the image is to be sent
	s.push("hello:1.0.0", sample.Config{})
	s.serving(2)
	s.settled("1.0.0", 2)
	load.zeroFailed()
}

// loseBlobs removes every blob and all unpacked layers.
func (s *server) loseBlobs() {
	s.t.Helper()
	for _, dir := range []string{"registry/docker/registry/v2/blobs", "cache"} {
		entries, err := os.ReadDir(filepath.Join(s.data, dir))
		check(s.t, err)
		if len(entries) == 0 {
			s.t.Fatalf("nothing is in %s", dir)
		}
		for _, e := range entries {
			check(s.t, os.RemoveAll(filepath.Join(s.data, dir, e.Name())))
		}
	}
}
