package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/control"
)

// SIGTERM comes when a service manager stops Drover as a whole: what is in flight
// is finished.
func TestTheGatewayTakesSIGTERMAsAWish(t *testing.T) {
	data := t.TempDir()
	must(t, os.Mkdir(filepath.Join(data, dirRun), 0o700))
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe, GatewayCommand, data)
	life, err := cmd.StdinPipe()
	must(t, err)
	defer life.Close()
	must(t, cmd.Start())
	for end := time.Now().Add(20 * time.Second); !control.Runs(data); {
		if time.Now().After(end) {
			t.Fatal("the gateway does not run")
		}
		<-time.After(time.Millisecond)
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestTheGatewayLeavesProcessorsToWorkloads(t *testing.T) {
	for all, want := range map[int]int{1: 1, 2: 1, 3: 2, 4: 2, 64: 32} {
		if got := gatewayProcessors(all); got != want {
			t.Errorf("of %d processors the gateway uses %d, want %d", all, got, want)
		}
	}
}
