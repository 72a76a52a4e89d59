package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// watcher is a command that runs beside the server.
type watcher struct {
	cmd       *exec.Cmd
	out, errs lockedBuffer
}

func (s *server) watch(args ...string) *watcher {
	s.t.Helper()
	w := &watcher{cmd: exec.Command(drover, args...)}
	w.cmd.Env = append(os.Environ(), "DROVER_DATA="+s.data)
	w.cmd.Stdout, w.cmd.Stderr = &w.out, &w.errs
	check(s.t, w.cmd.Start())
	s.t.Cleanup(func() {
		if w.cmd.ProcessState == nil {
			w.cmd.Process.Kill()
			w.cmd.Wait()
		}
	})
	return w
}

const ticker = `#!/bin/sh
i=0
while :; do i=$((i+1)); echo "tick $i"; sleep 0.02; done
`

// TestWatchersOutliveTheControlProcess: kill -9 of the control process costs who
// follows a log no line, who watches documents no change, and who waits for a
// rollout not its end.
func TestWatchersOutliveTheControlProcess(t *testing.T) {
	s := startServer(t)
	folder := t.TempDir()
	check(t, os.WriteFile(filepath.Join(folder, "tick"), []byte(ticker), 0o755))
	s.mustDrover("image", "push", "ticker:1.0.0", folder, "--entrypoint", "./tick")
	s.push("hello:1.0.0", sample.Config{Version: "1.0.0"})
	s.push("hello:2.0.0", sample.Config{Version: "2.0.0"})
	s.apply(`
kind: ScaleSet
name: ticker
spec: {image: "ticker:1.0.0", health: {process: true, gracePeriod: 1s}}
---
kind: ScaleSet
name: hello
spec:
  image: hello:1.0.0
  health: {path: /healthz, interval: 200ms}
  upgradePolicy: {blueGreen: {bakeTime: 6s}}
`)
	s.eventually(30*time.Second, "both serve", func() (bool, error) {
		for _, name := range []string{"hello", "ticker"} {
			if s.set(name).Status.Instances.InService != 1 {
				return false, nil
			}
		}
		return true, nil
	})
	log := s.watch("logs", "ticker_0", "-f")
	sets := s.watch("get", "scaleset", "ticker", "--watch", "-o", "json")
	rollout := s.watch("rollout", "start", "hello", "--image", "hello:2.0.0", "--watch", "-o", "json")
	s.eventually(20*time.Second, "the rollout has begun", func() (bool, error) {
		return s.set("hello").Status.Rollout != "", nil
	})
	for i := range 3 {
		seen := strings.Count(log.out.String(), "\n")
		s.eventually(20*time.Second, "the log goes on", func() (bool, error) {
			return strings.Count(log.out.String(), "\n") > seen+20, nil
		})
		s.kill()
		s.start()
		s.mustDrover("scale", "ticker", fmt.Sprint(i%2+1))
	}
	if err := rollout.cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, rollout.errs.String())
	}
	var ended resource.Rollout
	check(t, json.Unmarshal([]byte(rollout.out.String()), &ended))
	if ended.Status.Phase != resource.RolloutSucceeded || rollout.errs.String() != "" {
		t.Errorf("the rollout ended %s: %s", ended.Status.Phase, rollout.errs.String())
	}
	s.eventually(20*time.Second, "the last change is seen", func() (bool, error) {
		return strings.Count(sets.out.String(), "\n") > 0 && strings.HasSuffix(capacities(t, sets.out.String()), "1 2 1"), nil
	})
	check(t, log.cmd.Process.Signal(syscall.SIGINT))
	check(t, log.cmd.Wait())
	lines := 0
	for line := range strings.Lines(log.out.String()) {
		if lines++; line != fmt.Sprintf("tick %d\n", lines) {
			t.Fatalf("line %d of the log is %q; it was told:\n%s", lines, line, log.errs.String())
		}
	}
	if !strings.Contains(log.errs.String(), "trying again") {
		t.Errorf("of the restarts it said %q", log.errs.String())
	}
}

// capacities are the different ones that a watch has shown, in their order.
func capacities(t *testing.T, text string) string {
	t.Helper()
	var seen []string
	for r := bufio.NewScanner(strings.NewReader(text)); r.Scan(); {
		var change struct{ Document resource.ScaleSet }
		if json.Unmarshal(r.Bytes(), &change) != nil {
			continue // the last line is being written
		}
		if c := fmt.Sprint(change.Document.Spec.Capacity); len(seen) == 0 || seen[len(seen)-1] != c {
			seen = append(seen, c)
		}
	}
	return strings.Join(seen, " ")
}
