package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/droverhq/drover/internal/sample"
	"github.com/droverhq/drover/internal/testtool"
)

// A file system that failed can only be read any more. To mend it, it must not be
// in use: what runs on it can be stopped, with no server running.
func TestDownOnAReadOnlyDisk(t *testing.T) {
	s := newServer(t)
	command := readOnly(t, s.data, drover, "down", "--data", s.data)
	s.start()
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2}.yaml())
	s.serving(2)
	s.kill()
	out, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("down: %v", err)
	}
	says(t, string(out), "Stopped", "2 instances", "gateway")
	if left := s.processes(); len(left) > 0 {
		t.Errorf("down left %v", left)
	}
}

// readOnly is a command, run by the user that the test has, for which a folder
// can only be read; who has files in it open keeps them.
func readOnly(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	unshare := testtool.Require(t, "unshare")
	space, child := []string{"--mount"}, `exec "$@"`
	if uid := os.Geteuid(); uid != 0 {
		space = append(space, "--user", "--map-root-user")
		child = fmt.Sprintf(`exec %s --user --map-user=%d --map-group=%d "$@"`, unshare, uid, os.Getegid())
	}
	const mount = `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && `
	try := exec.Command(unshare, append(space, "sh", "-c", mount+"true", t.TempDir())...)
	if out, err := try.CombinedOutput(); err != nil {
		t.Logf("a file system cannot be mounted here: %v: %s", err, out)
		testtool.Require(t, "unshare (with the right to mount)")
	}
	return exec.Command(unshare, append(append(space, "sh", "-c", mount+child, dir), args...)...)
}
