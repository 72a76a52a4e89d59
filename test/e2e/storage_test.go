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
	_, _, err = s.client.CreateToken(s.ctx(), client.TokenRequest{Name: "more", Role: resource.RoleReader})
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
		_, _, err := s.client.CreateToken(s.ctx(), client.TokenRequest{Role: resource.RoleReader})
		if resource.IsCode(err, resource.CodeInsufficientStorage) {
			return false, nil
		}
		return err == nil, err
	})
	if text := s.mustDrover("status"); strings.Contains(text, "FULL") {
		s.t.Errorf("the disk still counts as full:\n%s", text)
	}
}

// tear keeps the first half of a file.
func tear(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	if info.Size() < 2 {
		t.Fatalf("%s holds nothing to tear", path)
	}
	check(t, os.Truncate(path, info.Size()/2))
}

// A torn admin token and a torn key: the server starts with what is left, or with
// a new one, and says so.
func TestTornTokenAndKeys(t *testing.T) {
	s := startBeside(t, "--listen", "0.0.0.0:0")
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2}.yaml())
	load := s.lightTraffic(s.serving(2))
	before := s.instances()
	ca, err := os.ReadFile(filepath.Join(s.data, "ca.pem"))
	check(t, err)

	s.kill()
	token := filepath.Join(s.data, "admin.token")
	tear(t, token)
	tear(t, filepath.Join(s.data, "keys", "tls-ca"))
	tear(t, filepath.Join(s.data, "ca.pem"))
	s.start()
	says(t, s.log.String(), "made a new admin token", token, "repaired one copy of a key")
	if now, err := os.ReadFile(filepath.Join(s.data, "ca.pem")); err != nil || string(now) != string(ca) {
		t.Errorf("one good copy of the key was not enough (%v)", err)
	}

	s.kill()
	check(t, os.WriteFile(token, nil, 0o600))
	tear(t, filepath.Join(s.data, "keys", "tls-ca"))
	tear(t, filepath.Join(s.data, "keys", "tls-ca.copy"))
	s.start()
	says(t, s.log.String(), "is empty", "both copies of a key are lost", "tls-ca.damaged-")
	says(t, s.mustDrover("get", "scalesets", "--server", "https://localhost:"+lastPort(s.url()), "--ca-file", filepath.Join(s.data, "ca.pem"), "--token-file", token), "hello")

	s.settled("1.0.0", 2)
	for i, in := range s.instances() {
		if in.Status.PID != before[i].Status.PID {
			t.Errorf("%s was touched", in.Name)
		}
	}
	load.zeroFailed()
}

// A torn record of an instance: that one is started anew, once, and says why; the
// other is not touched.
func TestTornInstanceRecord(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2}.yaml())
	address := s.serving(2)
	before := s.instances()
	s.kill()
	tear(t, filepath.Join(s.data, "instances", "hello", "hello_0", "record"))
	s.start()
	s.eventually(20*time.Second, "the instance runs again", func() (bool, error) {
		in := s.instances()[0]
		return in.Status.PID != 0 && in.Status.PID != before[0].Status.PID && in.Status.Health == resource.HealthHealthy, nil
	})
	s.settled("1.0.0", 2)
	if now := s.instances()[1]; now.Status.PID != before[1].Status.PID || now.Status.Restarts != 0 {
		t.Errorf("the other instance was touched: %+v", now.Status)
	}
	c := resource.FindCondition(s.instances()[0].Status.Conditions, "RecordDamaged")
	if c == nil {
		t.Fatalf("the instance does not say what happened: %+v", s.instances()[0].Status.Conditions)
	}
	says(t, s.log.String(), "record", "damaged", "hello_0")
	says(t, s.mustDrover("describe", "instance", "hello_0"), "RecordDamaged")
	check(t, fetchPlain(address))
}

// A database that cannot be read: the last snapshot is served, or nothing; the
// server says what may be missing, and what it does not know keeps running, listed.
func TestDamagedDatabase(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"garbage": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			check(t, err)
			_, err = f.WriteAt([]byte(strings.Repeat("garbage ", 64)), 0)
			check(t, errors.Join(err, f.Close()))
		},
		"truncated": func(t *testing.T, path string) { check(t, os.Truncate(path, 1000)) },
		"gone":      func(t *testing.T, path string) { check(t, os.Remove(path)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := startBeside(t)
			s.push("hello:1.0.0", sample.Config{})
			s.apply(policy{capacity: 2}.yaml())
			s.serving(2)
			before := s.instances()
			revision := s.set("hello").Revision
			s.kill()
			check(t, os.RemoveAll(filepath.Join(s.data, "snapshots")))
			check(t, os.RemoveAll(filepath.Join(s.data, "documents.db-wal")))
			damage(t, filepath.Join(s.data, "documents.db"))
			s.start()

			says(t, s.log.String(), "the store was damaged", "repaired")
			says(t, s.mustDrover("status"), "Repaired:", "may be missing")
			s.keptAndListed(before)

			s.eventually(20*time.Second, "the gallery's versions are known again", func() (bool, error) {
				_, err := s.client.Get(s.ctx(), resource.KindImageVersion, "hello:1.0.0")
				return err == nil, nil
			})
			s.apply(policy{capacity: 1}.yaml())
			if now := s.set("hello").Revision; now <= revision {
				t.Errorf("revision %d was given out after %d", now, revision)
			}
			check(t, fetchPlain(s.serving(1)))
			s.keptAndListed(before)
			s.mustDrover("delete", "scaleset", "hello")
			if left := s.processes(); len(left) > 0 {
				t.Errorf("the set is deleted and %v runs", left)
			}
		})
	}
}

// The last snapshot is served: what it knows goes on as if nothing had happened,
// and an instance that is younger than it is kept and listed. No request is lost.
func TestSnapshotIsServed(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2, drain: "1s"}.yaml())
	load := s.lightTraffic(s.serving(2))
	s.stop()
	snapshots := filepath.Join(s.data, "snapshots")
	check(t, os.RemoveAll(snapshots)) // the next start takes one soon
	s.start()
	s.eventually(20*time.Second, "a snapshot is taken", func() (bool, error) {
		list, _ := filepath.Glob(filepath.Join(snapshots, "documents-*.db"))
		return len(list) > 0, nil
	})
	s.mustDrover("scale", "hello", "3")
	s.serving(3)
	before := s.instances()
	s.kill()
	check(t, os.WriteFile(filepath.Join(s.data, "documents.db"), []byte("no database"), 0o600))
	s.start()
	says(t, s.mustDrover("status"), "Repaired:", "serves the snapshot of", "may be missing", filepath.Join(s.data, "damaged"))
	if n := s.set("hello").Spec.Capacity; n != 2 {
		t.Errorf("the set has the capacity %d, the snapshot knew 2", n)
	}
	s.keptAndListed(before[2:])
	s.serving(2)
	for i, in := range s.instances() {
		if in.Name != before[i].Name || in.Status.PID != before[i].Status.PID {
			t.Errorf("%s, process %d, became %s, process %d", before[i].Name, before[i].Status.PID, in.Name, in.Status.PID)
		}
	}
	s.mustDrover("scale", "hello", "3")
	s.serving(3)
	if in := s.instances(); len(in) != 4 || in[3].Name != "hello_3" {
		t.Errorf("the number of an instance that runs was used again: %+v", in)
	}
	load.zeroFailed()
}

// keptAndListed: instances that the documents do not know keep running, marked.
func (s *server) keptAndListed(before []resource.Instance) {
	s.t.Helper()
	s.eventually(20*time.Second, "the instances are listed", func() (bool, error) { return len(s.instances()) >= len(before), nil })
	now := s.instances()
	for _, old := range before {
		i := indexOf(now, old.Name)
		if i < 0 {
			s.t.Fatalf("%s is not listed", old.Name)
		}
		if c := resource.FindCondition(now[i].Status.Conditions, resource.ConditionRecovered); c == nil {
			s.t.Errorf("%s is not marked: %+v", old.Name, now[i].Status.Conditions)
		}
		if syscall.Kill(old.Status.PID, 0) != nil {
			s.t.Errorf("%s no longer runs", old.Name)
		}
	}
}
