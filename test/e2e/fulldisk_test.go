package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
	"github.com/droverhq/drover/internal/testtool"
)

// smallDisk names a file system of its own, in the child that was given one.
const smallDisk = "DROVER_E2E_SMALL_DISK"

// onSmallDisk runs the test again in a mount namespace in which a small file
// system can be mounted, and there returns a folder on it. The child has the
// user that its parent has, so that root's and an ordinary user's ways are shown.
func onSmallDisk(t *testing.T) (dir string, ok bool) {
	t.Helper()
	if dir := os.Getenv(smallDisk); dir != "" {
		return dir, true
	}
	unshare := testtool.Require(t, "unshare")
	space, dir := []string{"--mount"}, filepath.Join(t.TempDir(), "disk")
	child := `exec "$@"`
	if uid := os.Geteuid(); uid != 0 {
		space = append(space, "--user", "--map-root-user")
		child = fmt.Sprintf(`exec %s --user --map-user=%d --map-group=%d "$@"`, unshare, uid, os.Getegid())
	}
	for _, d := range []string{filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		check(t, os.Chmod(d, 0o711))
	}
	check(t, os.Mkdir(dir, 0o711))
	mount := `mount -t tmpfs -o size=160m,mode=0755 none "$0" && `
	try := exec.Command(unshare, append(space, "sh", "-c", mount+"true", dir)...)
	if out, err := try.CombinedOutput(); err != nil {
		t.Logf("a file system cannot be mounted here: %v: %s", err, out)
		testtool.Require(t, "unshare (with the right to mount)")
	}
	self, err := os.Executable()
	check(t, err)
	args := append(space, "sh", "-c", mount+child, dir, self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=3m")
	cmd := exec.CommandContext(t.Context(), unshare, args...)
	cmd.Env = append(os.Environ(), smallDisk+"="+dir, builtBinaries+"="+filepath.Dir(drover))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("on a small disk: %v\n%s", err, out)
	}
	return "", false
}

// fill leaves no byte free on the disk of dir, and returns what frees them again.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	f, err := os.CreateTemp(dir, "ballast")
	check(t, err)
	block := make([]byte, 64<<10)
	for size := len(block); size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(block[:size])
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	check(t, f.Close())
	return func() { check(t, os.Remove(f.Name())) }
}

// asking keeps asking a balancer for what writes nothing: the workload's own disk
// is as full as all of it.
type asking struct {
	stop     context.CancelFunc
	done     sync.WaitGroup
	answered int
	failed   []string
}

func ask(t *testing.T, address string) *asking {
	ctx, cancel := context.WithCancel(context.Background())
	a := &asking{stop: cancel}
	a.done.Go(func() {
		for ctx.Err() == nil {
			if err := fetchPlain(address); err != nil {
				a.failed = append(a.failed, err.Error())
			}
			a.answered++
			time.Sleep(5 * time.Millisecond)
		}
	})
	t.Cleanup(func() { cancel(); a.done.Wait() })
	return a
}

func fetchPlain(address string) error {
	resp, err := http.Get("http://" + address + "/")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

func (a *asking) zeroFailed(t *testing.T) {
	t.Helper()
	a.stop()
	a.done.Wait()
	if len(a.failed) > 0 || a.answered == 0 {
		t.Errorf("%d of %d requests failed: %v", len(a.failed), a.answered, a.failed[:min(3, len(a.failed))])
	}
}

// The disk is full: new work is refused before it is accepted, what runs goes on,
// what frees space or goes back can be done, and all is well once there is room.
func TestFullDisk(t *testing.T) {
	dir, ok := onSmallDisk(t)
	if !ok {
		return
	}
	s := newServerIn(t, filepath.Join(dir, "data"))
	s.start()
	for _, v := range []string{"1.0.0", "2.0.0", "3.0.0", "4.0.0"} {
		s.push("hello:"+v, sample.Config{})
	}
	p := policy{capacity: 2, bake: "3s", drain: "1s"}
	s.apply(p.yaml())
	load := ask(t, s.serving(2))

	t.Log("a running rollout ends, and is rolled back")
	rollout := s.roll("hello:2.0.0")
	s.reaches(rollout, resource.RolloutBaking)
	free := fill(t, dir)
	s.newWorkIsRefused()
	s.ends(rollout, resource.RolloutSucceeded)
	s.settled("2.0.0", 2)
	_, err := s.client.StartRollout(s.ctx(), "hello", client.RolloutRequest{Image: "hello:3.0.0"})
	refused(t, err, resource.CodeInsufficientStorage)
	s.ends(s.rollBack(rollout), resource.RolloutSucceeded)
	s.settled("1.0.0", 2)
	says(t, s.mustDrover("status"), "FULL")
	free()
	s.acceptsAgain()

	t.Log("a cancel, a scale-in, a deletion and a restart on the full disk")
	p.bake = "5m"
	p.image = "hello:3.0.0"
	s.apply(p.yaml())
	rollout = s.set("hello").Status.Rollout
	s.reaches(rollout, resource.RolloutBaking)
	free = fill(t, dir)
	s.mustDrover("rollout", "cancel", "hello")
	s.ends(rollout, resource.RolloutCancelled)
	s.mustDrover("scale", "hello", "1")
	s.settled("1.0.0", 1)
	s.mustDrover("delete", "imageversion", "hello:4.0.0")
	s.kill()
	freeRest := fill(t, dir) // with what went meanwhile
	s.start()
	s.newWorkIsRefused()
	s.settled("1.0.0", 1)
	load.zeroFailed(t)

	t.Log("down and up on the full disk, then room again")
	s.mustDrover("down")
	s.nothingRuns()
	s.start()
	free()
	freeRest()
	s.acceptsAgain()
	s.settled("1.0.0", 1)
	s.ends(s.rollSoon("hello:3.0.0"), resource.RolloutSucceeded)
	s.settled("3.0.0", 1)
	s.mustDrover("delete", "scaleset", "hello")
	if folders := s.folders(); len(folders) > 0 {
		t.Errorf("left of the set: %v", folders)
	}
}

// rollSoon rolls out with a short bake.
func (s *server) rollSoon(image string) string {
	s.t.Helper()
	s.apply(policy{image: s.set("hello").Spec.Image, capacity: 1, bake: "100ms", drain: "1s"}.yaml())
	r, err := s.client.StartRollout(s.ctx(), "hello", client.RolloutRequest{Image: image})
	check(s.t, err)
	return r.Name
}

// newWorkIsRefused tries all that asks for more space.
func (s *server) newWorkIsRefused() {
	s.t.Helper()
	_, err := s.put("kind: LoadBalancer\nname: more\nspec: {listen: '127.0.0.1:0', backend: hello}\n", client.ApplyOptions{})
	refused(s.t, err, resource.CodeInsufficientStorage)
	_, err = s.client.CreateToken(s.ctx(), client.TokenRequest{Name: "more", Role: resource.RoleReader})
	refused(s.t, err, resource.CodeInsufficientStorage)
	_, err = s.client.Scale(s.ctx(), "hello", 5)
	refused(s.t, err, resource.CodeInsufficientStorage)
	folder := filepath.Dir(s.file("x", "a small program"))
	_, errs, code := s.drover("image", "push", "more:1.0.0", folder, "--entrypoint", "./x")
	if code != 1 || !strings.Contains(errs, "space") {
		s.t.Errorf("push: exit code %d: %s", code, errs)
	}
	for kind, name := range map[string]string{resource.KindLoadBalancer: "more", resource.KindToken: "more", resource.KindImageVersion: "more:1.0.0"} {
		_, err := s.client.Get(s.ctx(), kind, name)
		refused(s.t, err, resource.CodeNotFound)
	}
}

// acceptsAgain waits until the reserve is whole, which comes before new work.
func (s *server) acceptsAgain() {
	s.t.Helper()
	s.eventually(20*time.Second, "new work is accepted", func() (bool, error) {
		_, err := s.client.CreateToken(s.ctx(), client.TokenRequest{Role: resource.RoleReader})
		if resource.IsCode(err, resource.CodeInsufficientStorage) {
			return false, nil
		}
		return err == nil, err
	})
	if text := s.mustDrover("status"); strings.Contains(text, "FULL") {
		s.t.Errorf("the disk still counts as full:\n%s", text)
	}
}
