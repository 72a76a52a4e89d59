package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The demo tells its story in 20 seconds and prints the pinned object last.
func TestDemo(t *testing.T) {
	var out, errs bytes.Buffer
	cmd := exec.Command(drover, "demo", "--duration", "20s", "-o", "json")
	cmd.Env = append(os.Environ(), "TMPDIR="+passable(t))
	cmd.Stdout, cmd.Stderr = &out, &errs
	began := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
	if took := time.Since(began); took > 21*time.Second {
		t.Errorf("it took %s, its --duration bounds the whole", took)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var result struct {
		Requests, Failed, Retried, Cut *uint64
		P50Ms, P99Ms                   *float64
		ByVersion                      map[string]uint64
		Rollouts                       []struct{ Set, Strategy, From, To, Phase string }
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &result); err != nil {
		t.Fatalf("the last line is no JSON object: %v\n%s", err, lines[len(lines)-1])
	}
	if result.Retried == nil || result.Cut == nil || result.P50Ms == nil || result.P99Ms == nil {
		t.Errorf("a pinned field is missing: %s", lines[len(lines)-1])
	}
	if *result.Failed != 0 || *result.Requests < 5000 || len(result.ByVersion) != 3 {
		t.Errorf("%d of %d requests failed, by version %v", *result.Failed, *result.Requests, result.ByVersion)
	}
	want := []struct{ from, to, phase string }{{"1.0.0", "2.0.0", "Succeeded"}, {"2.0.0", "3.0.0", "RolledBack"}}
	for i, w := range want {
		if i >= len(result.Rollouts) {
			t.Fatalf("only %d rollouts", i)
		}
		r := result.Rollouts[i]
		if r.Set != "hello" || r.Strategy != "BlueGreen" || r.From != w.from || r.To != w.to || r.Phase != w.phase {
			t.Errorf("rollout %d is %+v, want %+v", i, r, w)
		}
	}
}

// Ctrl-C in the middle leaves nothing running and nothing on disk.
func TestDemoInterruptedLeavesNothing(t *testing.T) {
	dir := passable(t)
	var out lockedBuffer
	cmd := exec.Command(drover, "demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = &out, &out
	check(t, cmd.Start())
	s := &server{t: t}
	s.eventually(30*time.Second, "it serves", func() (bool, error) { return strings.Contains(out.String(), "InService"), nil })
	folders, err := filepath.Glob(filepath.Join(dir, "drover-demo-*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("%v %v", folders, err)
	}
	s.data = folders[0]
	if len(s.processes()) == 0 {
		t.Fatal("nothing runs that could be left")
	}
	check(t, cmd.Process.Signal(syscall.SIGINT))
	if err := cmd.Wait(); err == nil {
		t.Error("an interrupted demo exits with 0")
	}
	if left := s.processes(); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
	if _, err := os.Stat(s.data); err == nil {
		t.Errorf("%s is still there", s.data)
	}
}

// passable is a temporary folder that users of their own can pass through.
func passable(t *testing.T) string {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		check(t, os.Chmod(d, 0o711))
	}
	return dir
}
