package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// A backup that is taken while a rollout bakes brings the sets up in an empty
// folder on another day, and that rollout ends.
func TestBackupWhileRollingAndRestore(t *testing.T) {
	own, _ := beside(t)
	s := startServer(t, own...)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.apply(policy{capacity: 2, bake: "4s", drain: "1s"}.yaml())
	load := s.lightTraffic(s.serving(2))
	rollout := s.roll("hello:2.0.0")
	s.reaches(rollout, resource.RolloutBaking)
	file := filepath.Join(t.TempDir(), "backup.tar")
	says(t, s.mustDrover("backup", file), "verified")
	info, err := os.Stat(file)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the backup, which holds keys, has the mode %s", info.Mode())
	}
	s.ends(rollout, resource.RolloutSucceeded)
	load.zeroFailed()
	if _, errs, code := s.drover("restore", file); code != 1 || !strings.Contains(errs, "not empty") {
		t.Errorf("a restore into a folder that is in use: exit code %d: %s", code, errs)
	}
	s.mustDrover("down")

	again := newServer(t, own...)
	again.mustDrover("restore", file)
	again.start()
	again.reaches(rollout, resource.RolloutBaking)
	again.eventually(time.Minute, "the rollout ends", func() (bool, error) {
		return again.rollout(rollout).Status.Phase.Terminal(), nil
	})
	again.serving(2)
	again.settled(again.set("hello").Status.Model.Version, 2)
	again.push("hello:3.0.0", sample.Config{})
	again.ends(again.roll("hello:3.0.0"), resource.RolloutSucceeded)
}

// What is no backup is refused and leaves the folder as empty as it was.
func TestRestoreOfSomethingElse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if _, errs, code := s.drover("restore", s.file("backup.tar", "this is no tar archive")); code != 1 || !strings.Contains(errs, "restore") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if entries, err := os.ReadDir(s.data); err == nil && len(entries) > 0 {
		t.Errorf("%d entries are in the folder", len(entries))
	}
}

// Down stops everything, with a server and without one; the next up starts it again.
func TestDownAndUpAgain(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2, drain: "1s"}.yaml())
	address := s.serving(2)
	check(t, get(address, "/"))
	names := s.instances()

	says(t, s.mustDrover("down"), "2 instances", "server")
	check(t, s.cmd.Wait())
	s.nothingRuns()
	s.start()
	s.answers()
	s.settled("1.0.0", 2)

	s.stop()
	says(t, s.mustDrover("down"), "2 instances", "gateway")
	s.nothingRuns()
	says(t, s.mustDrover("down"), "Nothing is running")
	s.start()
	s.answers()
	s.settled("1.0.0", 2)
	for i, in := range s.instances() {
		says(t, s.mustDrover("logs", in.Name), "ended in order")
		if in.Name != names[i].Name || in.Status.Restarts != 0 {
			t.Errorf("%s with %d restarts took the place of %s", in.Name, in.Status.Restarts, names[i].Name)
		}
	}
}

// answers waits until the balancer answers; where it was before is not where it is.
func (s *server) answers() {
	s.t.Helper()
	s.eventually(20*time.Second, "the balancer answers", func() (bool, error) {
		return get(s.address("front"), "/") == nil, nil
	})
}

func (s *server) nothingRuns() {
	s.t.Helper()
	for _, p := range s.processes() {
		s.t.Errorf("still running: %s", p)
	}
	for _, pid := range s.gateways() {
		s.t.Errorf("the gateway still runs: process %d", pid)
	}
	for _, name := range s.cgroups() {
		s.t.Errorf("the cgroup of %s is still there", name)
	}
}

// Ctrl-C stops the control process alone and says what goes on; traffic flows
// while it is down, and the next one takes over what it finds.
func TestCtrlCSaysWhatKeepsRunning(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2, drain: "1s"}.yaml())
	load := s.lightTraffic(s.serving(2))
	before := s.instances()
	gateway := s.gatewayPID()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		check(t, s.cmd.Process.Signal(signal))
		check(t, s.cmd.Wait())
		text := s.log.String()
		says(t, text[strings.LastIndex(text, "Drover "):], "Still running: 2 instances (hello_0, hello_1) and the gateway", "drover down")
		answered := load.g.Stats().Requests
		s.eventually(10*time.Second, "requests are answered without a control process", func() (bool, error) {
			return load.g.Stats().Requests > answered+50, nil
		})
		s.start()
	}
	s.settled("1.0.0", 2)
	s.untouched(before)
	if now := s.gatewayPID(); now != gateway {
		t.Errorf("gateway %d took the place of %d", now, gateway)
	}
	load.zeroFailed()
}

// A second server on the same folder is refused and harms nothing.
func TestSecondServerOnTheSameFolder(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 1}.yaml())
	s.serving(1)
	_, errs, code := s.drover("up", "--listen", "127.0.0.1:0")
	if code != 1 || !strings.Contains(errs, s.data) {
		t.Errorf("exit code %d: %s", code, errs)
	}
	s.settled("1.0.0", 1)
}
