package computetest

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/droverhq/drover/internal/compute"
)

// testInterrupted kills Drover, and its launcher with it or not, at each step of
// a start. Whatever was left, the next start ends with exactly one process.
func testInterrupted(w *World, s Subject) {
	t := w.TB.(*testing.T)
	for _, step := range s.Steps {
		t.Run("Drover dies at "+step, func(t *testing.T) {
			w := NewWorld(t, s)
			interrupt(w, step, "")
		})
	}
	for _, step := range s.LauncherSteps {
		t.Run("Drover dies while its launcher is at "+step, func(t *testing.T) {
			interrupt(NewWorld(t, s), "", step+" live")
		})
		t.Run("both die at "+step, func(t *testing.T) {
			interrupt(NewWorld(t, s), "", step+" die")
		})
	}
	t.Run("Drover dies when it is started", func(t *testing.T) { interrupt(NewWorld(t, s), "", "") })
}

func interrupt(w *World, step, order string) {
	spec := w.Spec()
	if order != "" {
		must(w, os.WriteFile(filepath.Join(w.Data, launcherOrder), []byte(order), 0o644))
	}
	w.control(Control{Data: w.Data, Images: w.Images.dir, Spec: spec, DieAt: step})

	// A driver that only looks finds nothing wrong, and starts nothing.
	w.Inspect(spec.Name)
	state, err := w.Driver.Start(w.Context(), spec)
	must(w, err)
	if !state.Running {
		w.Fatalf("not running: %+v", state)
	}
	w.OnlyOne(spec.Name)
	if n := len(w.Starts(spec.Name)); n != 1 {
		w.Errorf("the program was started %d times", n)
	}
	w.unreaped(spec, state)
}

// unreaped ends the process, whose parent never waits: what remains of it must
// not be taken for it.
func (w *World) unreaped(spec compute.Spec, state compute.State) {
	w.Helper()
	must(w, syscall.Kill(state.PID, syscall.SIGKILL))
	w.Exit(spec.Name)
	if next := w.Start(spec); next.PID == state.PID {
		w.Errorf("taken for alive: %+v", next)
	}
	w.OnlyOne(spec.Name)
}

// control has a Drover of its own start the instance, below an init that never
// waits, and returns when that Drover is dead.
func (w *World) control(c Control) {
	w.Helper()
	text, err := json.Marshal(c)
	must(w, err)
	// Only the Drover holds on to the pipe's other end, which no program inherits.
	dead, held, err := os.Pipe()
	must(w, err)
	defer dead.Close()
	cmd := exec.Command(os.Args[0], "init", os.Args[0], "control", string(text))
	cmd.Stdout, cmd.Stderr = held, w.Output()
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	stdin, err := cmd.StdinPipe()
	must(w, err)
	must(w, cmd.Start())
	held.Close()
	w.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	_, err = io.ReadAll(dead)
	must(w, err)
}
