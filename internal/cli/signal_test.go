package cli

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

// TestMain lets the test program be a command, which a signal can be sent to.
func TestMain(m *testing.M) {
	if os.Getenv("DROVER_TEST_COMMAND") == "1" {
		os.Exit(Main(Local{Hidden: map[string]func([]string) int{
			"hidden": func(args []string) int { return len(args) },
		}}))
	}
	os.Exit(m.Run())
}

func command(t *testing.T, w *world, args ...string) (cmd *exec.Cmd, out, errs *syncBuffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, errs = new(syncBuffer), new(syncBuffer)
	cmd = exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "DROVER_TEST_COMMAND=1", "DROVER_SERVER=", "DROVER_TOKEN=", "DROVER_DATA="+w.data)
	cmd.Stdout, cmd.Stderr = out, errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out, errs
}

func TestSignals(t *testing.T) {
	w := newWorld(t)
	w.log = "first line\n"
	put(w, scaleSet("hello", 4))
	put(w, instance("hello_0", resource.Blue, "1.0.0", resource.HealthHealthy, resource.AdmissionInService))
	put(w, rollout("hello-1", resource.RolloutStarting))
	tests := []struct {
		args       []string
		sight, err string
		code       int
	}{
		{[]string{"get", "scalesets", "--watch"}, "hello:1.0.0", "", 0},
		{[]string{"logs", "hello_0", "-f"}, "first line", "", 0},
		{[]string{"rollout", "status", "hello", "--watch"}, "Starting", "drover: stopped watching: the rollout goes on", 1},
	}
	for _, tt := range tests {
		for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			cmd, out, errs := command(t, w, tt.args...)
			waitFor(t, out, tt.sight)
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its exit code is checked
			if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.HasPrefix(errs.String(), tt.err) || tt.err == "" && errs.String() != "" {
				t.Errorf("%v, %v: exit %d: %s", tt.args, sig, code, errs.String())
			}
		}
	}
}

func TestHiddenCommandsAreNotCobras(t *testing.T) {
	w := newWorld(t)
	cmd, out, errs := command(t, w, "hidden", "--unknown", "x", "y")
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 3 || out.String()+errs.String() != "" {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
	if help := w.run("help"); bytes.Contains([]byte(help.out), []byte("hidden")) {
		t.Errorf("help shows it:\n%s", help.out)
	}
}
