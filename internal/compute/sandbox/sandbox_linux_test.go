package sandbox

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/droverhq/drover/internal/resource"
)

// roots are those that can run here.
func roots(t *testing.T) []string {
	t.Helper()
	if err := Check(resource.RootImage); err != nil {
		t.Logf("only root: host is tried: %v", err)
		return []string{resource.RootHost}
	}
	return []string{resource.RootHost, resource.RootImage}
}

func TestNothingIsInherited(t *testing.T) {
	for _, root := range roots(t) {
		t.Run(root, func(t *testing.T) {
			w := newWorld(t)
			s := w.spec(root, "/bin/workload", "workload", "list:/proc/self/fd",
				"status:SigIgn", "status:SigBlk", "status:CapEff", "status:CapPrm", "status:CapInh", "status:CapAmb",
				"status:NoNewPrivs", "status:Umask", "read:/proc/self/oom_score_adj")
			got := run(t, s)
			// Go's own reading of the folder and its poller are descriptors of the workload.
			if fds := strings.Fields(got[0]); !slices.Equal(fds[:3], []string{"0", "1", "2"}) || len(fds) > 6 {
				t.Errorf("open descriptors: %v", fds)
			}
			none := strings.Repeat("0", 16)
			want := []string{none, none, none, none, none, none, "1", "0022", "0"}
			if diff := cmp.Diff(want, got[1:]); diff != "" {
				t.Error(diff)
			}
			if os.Geteuid() == 0 {
				s.Args = []string{"/bin/workload", "workload", "status:CapBnd"}
				if got := run(t, s)[0]; got != none {
					t.Errorf("bounding set %s", got)
				}
			}
		})
	}
}

func TestImageRoot(t *testing.T) {
	if len(roots(t)) < 2 {
		return
	}
	w := newWorld(t)
	must(t, os.WriteFile(w.path("data/kept"), []byte("kept"), 0o644))
	must(t, os.WriteFile(w.path("secret"), []byte("secret"), 0o644))
	host, err := os.ReadFile("/etc/hosts")
	must(t, err)
	questions := []struct{ ask, want string }{
		{"cwd", "/srv"},
		{"list:/dev", "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"},
		{"read:/etc/hosts", strings.ReplaceAll(strings.TrimSpace(string(host)), "\n", "|")},
		{"write:/etc/hosts", "refused"},
		{"write:/plain", "refused"},
		{"write:/new", "refused"},
		{"write:/dev/new", "refused"},
		{"write:/dev/null", "written"},
		{"write:/dev/shm/x", "written"},
		{"write:/tmp/x", "written"},
		{"read:" + w.path("data/kept"), "kept"},
		{"write:" + w.path("data/new"), "written"},
		{"read:" + w.path("secret"), "no such file or directory"},
		{"read:/etc/passwd", "no such file or directory"},
		{"list:" + w.dir, "data"},
		{"read:/proc/self/root/etc/passwd", "no such file or directory"},
	}
	s := w.spec(resource.RootImage, "workload", "workload")
	s.WorkDir = "srv"
	var want []string
	for _, q := range questions {
		s.Args = append(s.Args, q.ask)
		want = append(want, q.want)
	}
	if os.Geteuid() == 0 {
		must(t, os.Chown(w.path("data/kept"), w.uid, w.uid))
	}
	got := run(t, s)
	for i := range got {
		if got[i] == "read-only file system" || got[i] == "permission denied" {
			got[i] = "refused"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(w.path("data/new")); string(b) != "x" {
		t.Errorf("what was written to data/: %q, %v", b, err)
	}
	if b, err := os.ReadFile(w.path("tmp/x")); string(b) != "x" {
		t.Errorf("what was written to /tmp: %q, %v", b, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	if strings.Contains(string(mounts), w.dir) {
		t.Error("a mount is seen on the host")
	}
}

func TestImageRootWithDataBelowTmp(t *testing.T) {
	if len(roots(t)) < 2 {
		return
	}
	w := newWorld(t)
	if !strings.HasPrefix(w.dir, "/tmp/") {
		t.Logf("the temporary folder is not below /tmp; nothing special here")
	}
	s := w.spec(resource.RootImage, "workload", "workload", "write:"+w.path("data/new"), "read:"+w.path("data/new"))
	if diff := cmp.Diff([]string{"written", "x"}, run(t, s)); diff != "" {
		t.Error(diff)
	}
}

func TestSiblingsAreOutOfReach(t *testing.T) {
	if os.Geteuid() != 0 {
		return // all workloads share one user then, as the documentation says
	}
	for _, root := range roots(t) {
		t.Run(root, func(t *testing.T) {
			w, sibling := newWorld(t), newWorld(t)
			sibling.uid++
			must(t, os.Chown(sibling.path("data"), sibling.uid, sibling.uid))
			must(t, os.WriteFile(sibling.path("data/secret"), nil, 0o644))
			pid := os.Getpid() // as good as a sibling's: of another user
			s := w.spec(root, "/bin/workload", "workload", "read:"+sibling.path("data/secret"), "write:"+w.os("plain"), "write:/plain",
				fmt.Sprintf("kill:%d", pid), fmt.Sprintf("read:/proc/%d/environ", pid), fmt.Sprintf("list:/proc/%d/fd", pid))
			for i, got := range run(t, s) {
				switch got {
				case "permission denied", "operation not permitted", "no such file or directory", "read-only file system":
				default:
					t.Errorf("%s: %q", s.Args[i+2], got)
				}
			}
		})
	}
}

func TestProcShowsOwnProcessesAlone(t *testing.T) {
	if os.Geteuid() != 0 || len(roots(t)) < 2 {
		return
	}
	w := newWorld(t)
	got := run(t, w.spec(resource.RootImage, "workload", "workload", "list:/proc"))
	for name := range strings.FieldsSeq(got[0]) {
		if name == "1" || name == fmt.Sprint(os.Getpid()) {
			t.Errorf("/proc lists process %s, which is another user's", name)
		}
	}
}

func TestLimitOnProcesses(t *testing.T) {
	w := newWorld(t)
	s := w.spec(resource.RootHost, "/bin/workload", "workload", "read:/proc/self/limits")
	s.MaxProcs = 4321
	if got := strings.Join(run(t, s), "\n"); !strings.Contains(got, "Max processes             4321") {
		t.Error(got)
	}
}
