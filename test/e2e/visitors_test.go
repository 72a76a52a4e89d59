package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/load"
)

// Every kind of client is served by the workload itself, and sees when what it asks
// is lost: a story in which none complains has shown something.
func TestClientsSeeWhatIsLost(t *testing.T) {
	s := newServer(t) // for its folder and its patience; it does not run
	w := startWorkload(t, filepath.Join(s.data, "instances", "hello", "hello_0", "data"))
	tr := s.startTrafficWith(load.Options{Address: w.address, Connections: 4, Rate: 40, PostEvery: 4, BodyBytes: 2048}, 2)
	tr.startKinds(crowd{slow: 2, http2: 1, events: 2, calls: 2, transfers: 2, bytes: 1 << 20}, w.address, w.address, w.address)
	s.eventually(30*time.Second, "all are answered", func() (bool, error) {
		return tr.g.Stats().Requests > 0 && tr.slow.Stats().Requests > 0 && tr.each(func(v *visitor) bool { return v.answered > 0 }), nil
	})
	if !tr.each(func(v *visitor) bool { return len(v.losses) == 0 }) || tr.g.Stats().Failed+tr.slow.Stats().Failed > 0 {
		t.Errorf("before anything was lost: %s", tr.seen())
	}
	w.kill()
	s.eventually(30*time.Second, "all have lost something", func() (bool, error) {
		return tr.g.Stats().Failed > 0 && tr.slow.Stats().Failed > 0 && tr.each(func(v *visitor) bool { return len(v.losses) > 0 }), nil
	})
	tr.end()
	if !tr.each(func(v *visitor) bool { return len(v.ends) == 0 }) {
		t.Errorf("what died has ended in order: %s", tr.seen())
	}
	tr.nothingTwice()
}

// each says whether something is so of all visitors.
func (tr *traffic) each(is func(*visitor) bool) bool {
	return !slices.ContainsFunc(tr.visitors, func(v *visitor) bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return !is(v)
	})
}

// seen is what all visitors have.
func (tr *traffic) seen() (text string) {
	tr.each(func(v *visitor) bool {
		text += fmt.Sprintf("\n%s: %d answered, %d ended, lost %s", v.name, v.answered, len(v.ends), listed(v.losses))
		return true
	})
	return text
}

// aWorkload runs without a server.
type aWorkload struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string
}

func startWorkload(t *testing.T, data string) *aWorkload {
	t.Helper()
	check(t, os.MkdirAll(data, 0o700))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	w := &aWorkload{t: t, cmd: exec.Command(workload), address: l.Addr().String()}
	check(t, l.Close())
	w.cmd.Dir, w.cmd.Env = t.TempDir(), []string{"PORT=" + port, "DATA_DIR=" + data, "DROVER_VERSION=1.0.0", "DROVER_INSTANCE=hello_0"}
	check(t, w.cmd.Start())
	t.Cleanup(w.kill)
	for {
		if c, err := net.Dial("tcp", w.address); err == nil {
			c.Close()
			return w
		}
		if ended(w.cmd.Process.Pid) {
			t.Fatal("the workload has ended")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (w *aWorkload) kill() {
	if w.cmd.ProcessState == nil {
		check(w.t, syscall.Kill(w.cmd.Process.Pid, syscall.SIGKILL))
		_ = w.cmd.Wait() // it was killed
	}
}
