package control_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/gateway/wire"
)

// orphan starts a gateway as a control process does that is killed when the test
// calls die.
func (s *site) orphan() (ended <-chan error, die func()) {
	s.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(exe, asGateway, filepath.Join(s.dir, "run"))
	life, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		done <- cmd.Wait()
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
	})
	return done, func() {
		if err := life.Close(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			s.t.Error(err)
		}
	}
}

func (s *site) wantEnd(ended <-chan error) {
	s.t.Helper()
	select {
	case <-ended:
	case <-time.After(patience):
		s.t.Fatal("a gateway that nobody knows lives on")
	}
}

// free says whether no gateway holds, or waits for, the data folder's lock.
func (s *site) free() bool {
	s.t.Helper()
	f, err := os.OpenFile(wire.LockPath(filepath.Join(s.dir, "run")), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

// A control process that is killed while it starts a gateway leaves one that waits
// for the lock of the one that runs. It must not follow it when `down` ends that one.
func TestDownLeavesNoGatewayThatWaitedForTheLock(t *testing.T) {
	s := newSite(t)
	s.applied(s.set("hello"))
	ended, die := s.orphan()
	s.stopControl()
	die()
	if err := control.StopGateway(t.Context(), s.dir); err != nil {
		t.Fatal(err)
	}
	s.wantEnd(ended)
	if !s.free() || control.Runs(s.dir) {
		t.Error("another gateway runs")
	}
}

func TestAGatewayWhoseStarterDiesBeforeItAttachesEnds(t *testing.T) {
	s := newSite(t)
	s.applied(s.set("hello"))
	s.stopControl()
	if err := control.StopGateway(t.Context(), s.dir); err != nil {
		t.Fatal(err)
	}
	ended, die := s.orphan()
	s.until("it runs", func() bool { return control.Runs(s.dir) })
	die()
	s.wantEnd(ended)
}

// At whatever point of a start the control process ends, `down` is the last word.
func TestDownAfterAStartThatWasBrokenOff(t *testing.T) {
	s := newSite(t)
	for n := range 12 {
		s.stopControl()
		if err := control.StopGateway(t.Context(), s.dir); err != nil {
			t.Fatal(err)
		}
		if !s.free() || control.Runs(s.dir) {
			t.Fatalf("a gateway is left when the start is broken off after %d ms", 2*(n-1))
		}
		s.startControl()
		<-time.After(time.Duration(2*n) * time.Millisecond)
	}
}

// Two gateways may be started at once, when one control process follows another:
// the next one takes the one that runs, and ends its own.
func TestAControlProcessTakesTheGatewayThatWasFaster(t *testing.T) {
	s := newSite(t)
	s.stopControl()
	if err := control.StopGateway(t.Context(), s.dir); err != nil {
		t.Fatal(err)
	}
	blocked, err := os.OpenFile(wire.LockPath(filepath.Join(s.dir, "run")), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(blocked.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	_, die := s.orphan()
	defer die()
	s.startControl() // both wait for the lock now
	<-time.After(100 * time.Millisecond)
	blocked.Close()
	began := time.Now()
	s.applied(s.set("hello"))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to take one of the two", took)
	}
}
