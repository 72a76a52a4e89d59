package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/compute/computetest"
	"github.com/droverhq/drover/internal/resource"
)

func isRoot() bool { return os.Geteuid() == 0 }

func driver(w *computetest.World) *Driver { return w.Driver.(*Driver) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEnvironment(t *testing.T) {
	w := computetest.NewWorld(t, subject())
	spec := w.Spec("sleep")
	spec.Model.Digest = w.Digest(map[string]computetest.File{"srv/run": {Text: "#!/bin/sh\necho $$ >> $DATA_DIR/starts\nexec sleep 1000", Mode: 0o755}}, ocispec.ImageConfig{
		Entrypoint: []string{"./run"}, WorkingDir: "/srv", User: "app", Volumes: map[string]struct{}{"/v": {}},
		Env: []string{"FROM_IMAGE=1", "LANG=de_DE.UTF-8", "PORT=8080", "BOTH=image"},
	})
	spec.Model.Command = nil
	spec.Model.Env = map[string]string{"FROM_SET": "1.10", "BOTH": "set", "DROVER_INSTANCE": "forged"}
	t.Setenv("SECRET_OF_DROVER", "must not be seen")
	s := w.Start(spec)

	dir := filepath.Join(w.Data, "instances/web", spec.Name)
	var text []byte
	w.Until("the environment can be read, which it cannot during an exec", func() bool {
		text = environ(s.PID)
		return len(text) > 0
	})
	got := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	got = slices.DeleteFunc(got, func(v string) bool { return strings.HasPrefix(v, "PWD=") || v == "_=/usr/bin/sleep" || v == "OLDPWD=" })
	want := []string{
		"PATH=" + defaultPath, "HOME=" + dir + "/data", "TMPDIR=" + dir + "/tmp", "LANG=de_DE.UTF-8",
		"FROM_IMAGE=1", "PORT=" + strconv.Itoa(spec.Port), "BOTH=set", "DROVER_INSTANCE=" + spec.Name, "FROM_SET=1.10",
		"DATA_DIR=" + dir + "/data", "DROVER_SCALE_SET=web", "DROVER_VERSION=1.0.0",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("environment\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", s.PID)); err != nil || cwd != dir+"/os/srv" {
		t.Errorf("works in %s, %v", cwd, err)
	}
	if !slices.Equal(s.Ignored, []string{"User", "Volumes"}) {
		t.Errorf("ignored %v", s.Ignored)
	}
}

func TestFolderModes(t *testing.T) {
	if !isRoot() {
		return // the owner of all folders is the same user
	}
	w := computetest.NewWorld(t, subject())
	spec := w.Spec()
	w.Start(spec)
	for _, c := range []struct {
		path     string
		mode     os.FileMode
		uid, gid int
	}{
		{"", 0o711, 0, 0}, {"instances", 0o711, 0, 0}, {"instances/web", 0o711, 0, 0},
		{"instances/web/web_1", 0o750, 0, spec.UID}, {"instances/web/web_1/os", 0o750, 0, spec.UID},
		{"instances/web/web_1/data", 0o700, spec.UID, spec.UID}, {"instances/web/web_1/log", 0o750, 0, 0},
		{"instances/web/web_1/record", 0o600, 0, 0}, {"instances/web/web_1/lock", 0o600, 0, 0},
	} {
		info, err := os.Stat(filepath.Join(w.Data, c.path))
		must(t, err)
		st := info.Sys().(*syscall.Stat_t)
		if info.Mode().Perm() != c.mode || int(st.Uid) != c.uid || int(st.Gid) != c.gid {
			t.Errorf("%s: %04o %d:%d, want %04o %d:%d", c.path, info.Mode().Perm(), st.Uid, st.Gid, c.mode, c.uid, c.gid)
		}
	}
}

// A record that can't be read names nobody: what runs is ended, not doubled.
func TestDamagedRecord(t *testing.T) {
	for name, damage := range map[string]func(string) error{
		"torn":    func(file string) error { return os.Truncate(file, 100) },
		"empty":   func(file string) error { return os.Truncate(file, 0) },
		"garbage": func(file string) error { return os.WriteFile(file, []byte("\x00\xff{}"), 0o600) },
		"gone":    os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			w := computetest.NewWorld(t, subject())
			spec := w.Spec()
			first := w.Start(spec)
			dir := driver(w).dir(spec.Name)
			must(t, damage(filepath.Join(dir, recordFile)))
			w.Reopen()
			s := w.Inspect(spec.Name)
			if s.Running || !s.Leftover || s.Spec != nil || (s.Damaged != "") != (name != "gone") {
				t.Fatalf("found %+v", s)
			}
			if next := w.Start(spec); next.PID == first.PID {
				t.Fatal("the same process again")
			}
			w.OnlyOne(spec.Name)
			aside, _ := filepath.Glob(filepath.Join(dir, recordFile+".damaged-*"))
			if (len(aside) == 1) != (name != "gone") {
				t.Errorf("set aside: %v", aside)
			}
		})
	}
}

// What a lost record would say of a reimage is not known, so the OS disk is replaced.
func TestReimageWithDamagedRecord(t *testing.T) {
	w := computetest.NewWorld(t, subject())
	spec := w.Spec()
	w.Start(spec)
	dir := driver(w).dir(spec.Name)
	must(t, w.Driver.Stop(t.Context(), spec.Name, 0))
	stray := filepath.Join(dir, "os", "stray")
	must(t, os.Chmod(filepath.Dir(stray), 0o755))
	must(t, os.WriteFile(stray, nil, 0o600))
	must(t, os.Truncate(filepath.Join(dir, recordFile), 100))
	spec.Reimage = 1
	w.Start(spec)
	if _, err := os.Stat(stray); err == nil {
		t.Error("the OS disk was kept")
	}
}

func TestLimits(t *testing.T) {
	w := computetest.NewWorld(t, subject())
	cpu, memory, pids := 0.5, resource.Bytes(64<<20), 100
	spec := w.Spec()
	spec.Model.Resources = &resource.Resources{CPU: &cpu, Memory: &memory, PIDs: &pids}
	groups, err := driver(w).groups.prepare()
	if groups.limits["cpu"] == "" || groups.limits["memory"] == "" {
		_, startErr := w.Driver.Start(t.Context(), spec)
		e, ok := startErr.(*compute.StartError)
		if !ok || e.Reason != compute.ReasonUnsupported || err != nil && !strings.Contains(startErr.Error(), err.Error()) {
			t.Errorf("refused with %v, because of %v", startErr, err)
		}
		return
	}
	s := w.Start(spec)
	for _, l := range limitsOf(*spec.Model.Resources) {
		dir := filepath.Join(groups.limits[l.controller], spec.Name)
		text, err := os.ReadFile(filepath.Join(dir, l.unified))
		if err != nil {
			text, err = os.ReadFile(filepath.Join(dir, l.v1))
		}
		must(t, err)
		if got := strings.Fields(string(text))[0]; got != l.value {
			t.Errorf("%s: %s, want %s", l.controller, got, l.value)
		}
		procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		must(t, err)
		if strings.TrimSpace(string(procs)) != strconv.Itoa(s.PID) {
			t.Errorf("%s: members %s", l.controller, procs)
		}
	}
	must(t, w.Driver.Delete(t.Context(), spec.Name, 0))
	if left := driver(w).groups.names(spec.Name); len(left) > 0 {
		t.Errorf("groups are left: %v", left)
	}
}

// A fork bomb fills its own limit and is ended like anything else.
func TestForkBomb(t *testing.T) {
	if !isRoot() {
		return // the limit would count every process of this user
	}
	w := computetest.NewWorld(t, subject())
	spec := w.Spec("sh", `b() { b | b & }; b; while :; do sleep 1000; done`)
	pids := 50
	spec.Model.Resources = &resource.Resources{PIDs: &pids}
	s := w.Start(spec)
	tree := driver(w).tree(spec.Name, nil, spec.UID)
	members, err := tree.members()
	must(t, err)
	if len(members) > pids {
		t.Errorf("%d processes", len(members))
	}
	must(t, w.Driver.Stop(t.Context(), spec.Name, 0))
	if s = w.Inspect(spec.Name); s.Running || s.Leftover {
		t.Errorf("stopped: %+v", s)
	}
}

// What holds the lock for too long is ended; it may be a launcher on a hung disk.
func TestHungLauncher(t *testing.T) {
	w := computetest.NewWorld(t, subject())
	d, spec := driver(w), w.Spec()
	d.lockTimeout = 200 * time.Millisecond
	must(t, d.make(spec.Name, spec.UID))
	lock, err := tryLock(d.dir(spec.Name))
	must(t, err)
	hung := exec.Command("/bin/sh", "-c", "while :; do sleep 1000; done")
	hung.Env = []string{dataVariable + d.disk(spec.Name)}
	hung.ExtraFiles = []*os.File{lock}
	must(t, hung.Start())
	lock.Close()
	t.Cleanup(func() { _ = hung.Process.Kill() })
	ended := make(chan error, 1)
	go func() { ended <- hung.Wait() }()
	w.Start(spec)
	w.OnlyOne(spec.Name)
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("what held the lock lives")
	}
}

// Two data folders on one machine, which gave the same user to an instance each.
func TestAnotherDroversInstancesAreLetBe(t *testing.T) {
	ours, theirs := computetest.NewWorld(t, subject()), computetest.NewWorld(t, subject())
	first := theirs.Spec()
	running := theirs.Start(first)
	taken, err := ours.Driver.TakenUIDs()
	must(t, err)
	if isRoot() && taken[first.UID] == "" {
		t.Errorf("the user of another's process may be given to an instance: %v", taken)
	}
	second := ours.Spec()
	second.UID = first.UID
	ours.Start(second)
	must(t, ours.Driver.Stop(t.Context(), second.Name, time.Second))
	must(t, ours.Driver.Delete(t.Context(), second.Name, 0))
	now, err := theirs.Driver.Inspect(t.Context(), first.Name)
	must(t, err)
	if !now.Running || now.PID != running.PID {
		t.Errorf("it was ended with ours: %+v", now)
	}
}

func TestRetainedData(t *testing.T) {
	w := computetest.NewWorld(t, subject())
	spec := w.Spec()
	w.Start(spec)
	must(t, w.Driver.Delete(t.Context(), spec.Name, time.Hour))
	kept := filepath.Join(w.Data, "retired", spec.Name, "starts")
	if _, err := os.Stat(kept); err != nil {
		t.Fatalf("the data is not kept: %v", err)
	}
	taken, err := w.Driver.TakenUIDs()
	must(t, err)
	if isRoot() && taken[spec.UID] == "" {
		t.Errorf("the user of retired data may be given to another: %v", taken)
	}
	must(t, w.Driver.Discard(t.Context(), spec.Set))
	if _, err := os.Stat(kept); err == nil {
		t.Error("discarded data is there")
	}
}

// A small file system that is full fails what is new and nothing else.
func TestFullDisk(t *testing.T) {
	if !isRoot() {
		return // mounting is root's; the contract has a gallery that reports a full disk
	}
	full := false
	s := subject()
	inner := s.New
	s.New = func(t testing.TB, w *computetest.World) compute.Driver {
		if !full {
			must(t, syscall.Mount("tmpfs", w.Data, "tmpfs", 0, "size=2m,mode=711"))
			t.Cleanup(func() { _ = syscall.Unmount(w.Data, syscall.MNT_DETACH) })
			full = true
		}
		return inner(t, w)
	}
	w := computetest.NewWorld(t, s)
	running := w.Spec()
	w.Start(running)
	big := w.Spec()
	big.Model.Digest = w.Digest(map[string]computetest.File{"big": {Text: strings.Repeat("x", 4<<20), Mode: 0o644}}, ocispec.ImageConfig{Cmd: []string{"true"}})
	_, err := w.Driver.Start(t.Context(), big)
	if e, ok := err.(*compute.StartError); !ok || e.Reason != compute.ReasonNoSpace {
		t.Fatalf("start with too large an image: %v", err)
	}
	// Fill it to the last byte: stopping and deleting need none.
	filler := filepath.Join(w.Data, "filler")
	fill(filler)
	small := w.Spec()
	if _, err := w.Driver.Start(t.Context(), small); err == nil {
		t.Error("started on a full disk")
	}
	w.OnlyOne(running.Name)
	must(t, w.Driver.Stop(t.Context(), running.Name, time.Second))
	must(t, w.Driver.Delete(t.Context(), running.Name, 0))
	must(t, os.Remove(filler))
	w.Start(small)
	w.OnlyOne(small.Name)
}

// fill writes until nothing more fits.
func fill(name string) {
	f, err := os.Create(name)
	if err != nil {
		return
	}
	defer f.Close()
	for size := 1 << 16; size > 0; size /= 2 {
		for {
			if _, err := f.Write(make([]byte, size)); err != nil {
				break
			}
		}
	}
}
