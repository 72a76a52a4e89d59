package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/droverhq/drover/internal/resource"
)

// The test binary plays three parts: the test, the launcher (LAUNCH holds the
// Spec) and the workload (its arguments name what to look at).
func TestMain(m *testing.M) {
	if text := os.Getenv("LAUNCH"); text != "" {
		os.Exit(launch(text))
	}
	if len(os.Args) > 1 && os.Args[1] == "workload" {
		os.Exit(workload(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// fast lets a program built with -race end without waiting a second for late reports.
const fast = "GORACE=atexit_sleep_ms=0"

func launch(text string) int {
	var s Spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if _, err := os.Open("/etc/passwd"); err != nil { // a descriptor that must not survive
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGUSR1)
	err := Exec(s)
	switch {
	case errors.Is(err, ErrProgram) && errors.Is(err, fs.ErrNotExist):
		fmt.Println("no such program")
	case errors.Is(err, ErrProgram) && errors.Is(err, fs.ErrPermission):
		fmt.Println("not executable")
	case errors.Is(err, ErrProgram):
		fmt.Println("no program")
	default:
		fmt.Println("sandbox")
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// workload prints what each question asks for.
func workload(questions []string) int {
	for _, q := range questions {
		verb, name, _ := strings.Cut(q, ":")
		fmt.Println(strings.ReplaceAll(answer(verb, name), "\n", "|"))
	}
	return 0
}

func answer(verb, name string) string {
	switch verb {
	case "cwd":
		dir, err := os.Getwd()
		return orError(dir, err)
	case "args":
		return strings.Join(os.Args[:2], " ")
	case "env":
		return strings.Join(os.Environ(), " ")
	case "ids":
		groups, _ := os.Getgroups()
		return fmt.Sprint(os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid(), groups)
	case "read":
		b, err := os.ReadFile(name)
		return orError(strings.TrimSpace(string(b)), err)
	case "list":
		entries, err := os.ReadDir(name)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return orError(strings.Join(names, " "), err)
	case "write":
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = f.WriteString("x")
		}
		return orError("written", err)
	case "kill":
		pid := 0
		fmt.Sscan(name, &pid)
		return orError("signalled", syscall.Kill(pid, 0))
	case "status":
		return status(name)
	}
	return "unknown question " + verb
}

// status is one line of /proc/self/status.
func status(key string) string {
	b, err := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return orError("", err)
}

func orError(s string, err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if err != nil {
		return err.Error()
	}
	return s
}

// world is an instance's folder, with the test binary as its image.
type world struct {
	dir string
	uid int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir()}
	if os.Geteuid() == 0 {
		w.uid = 2_000_001
	}
	openUp(t, w.dir)
	for _, dir := range []string{"os", "os/bin", "os/srv", "os/proc", "os/dev", "os/tmp", "os/etc", "data", "tmp"} {
		must(t, os.Mkdir(filepath.Join(w.dir, dir), 0o755))
	}
	for _, name := range []string{"etc/resolv.conf", "etc/hosts", "plain"} {
		must(t, os.WriteFile(w.os(name), nil, 0o644))
	}
	must(t, os.Symlink("/bin/workload", w.os("srv/absolute")))
	must(t, os.Symlink("../../../../../../bin/workload", w.os("srv/up")))
	must(t, os.Symlink("/srv/outside", w.os("srv/outside")))
	w.install(t)
	for _, dir := range []string{"data", "tmp"} {
		must(t, os.Chmod(w.path(dir), 0o700))
		if w.uid != 0 {
			must(t, os.Chown(w.path(dir), w.uid, w.uid))
		}
	}
	return w
}

// openUp lets other users pass through the test's own temporary folders.
func openUp(t *testing.T, dir string) {
	t.Helper()
	for ; len(dir) > len(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
}

// install puts the test binary into os/ as a static program: in os/ there are no libraries.
func (w *world) install(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	b, err := os.ReadFile(self)
	must(t, err)
	must(t, os.WriteFile(w.os("bin/workload"), b, 0o755))
	copyLibraries(t, self, w.os(""))
}

// copyLibraries copies what a test binary built with -race loads; a static one loads nothing.
func copyLibraries(t *testing.T, program, root string) {
	t.Helper()
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return
	}
	for field := range strings.FieldsSeq(string(out)) {
		if !strings.HasPrefix(field, "/") {
			continue
		}
		b, err := os.ReadFile(field)
		must(t, err)
		must(t, os.MkdirAll(filepath.Join(root, filepath.Dir(field)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, field), b, 0o755))
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }
func (w *world) os(name string) string   { return w.path(filepath.Join("os", name)) }

func (w *world) spec(root string, args ...string) Spec {
	return Spec{
		Root: root, OS: w.path("os"), Data: w.path("data"), Tmp: w.path("tmp"), UID: w.uid, GID: w.uid,
		Args: args, Env: []string{"PATH=/bin", "A=1", fast},
	}
}

// run starts the launcher as the driver does and returns the workload's lines.
func run(t *testing.T, s Spec) []string {
	t.Helper()
	text, err := json.Marshal(s)
	must(t, err)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = []string{"LAUNCH=" + string(text), fast}
	cmd.SysProcAttr = Attr(s.Root)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	t.Logf("%v: %v\n%s", s.Args, err, stderr.String())
	return strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHostRoot(t *testing.T) {
	w := newWorld(t)
	s := w.spec(resource.RootHost, "./workload", "workload", "cwd", "args", "env", "ids", "read:"+w.path("data/x"), "write:"+w.path("data/x"))
	s.WorkDir = "bin"
	got := run(t, s)
	ids := fmt.Sprint(w.uid, w.uid, w.uid, w.uid, []int{w.uid})
	if w.uid == 0 { // an ordinary user stays what it is
		ids = answer("ids", "")
	}
	cwd, err := filepath.EvalSymlinks(w.os("bin"))
	must(t, err)
	want := []string{cwd, "./workload workload", "PATH=/bin A=1 " + fast, ids, "no such file or directory", "written"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestProgramIsLookedUpInTheImage(t *testing.T) {
	w := newWorld(t)
	must(t, os.WriteFile(w.os("bin/text"), []byte("not a program"), 0o755))
	must(t, os.WriteFile(w.os("bin/script"), []byte("#!/no/such/interpreter\n"), 0o755))
	must(t, os.Symlink("loop", w.os("loop")))
	tests := []struct {
		name, workDir, program string
		want                   string
	}{
		{"in the working directory", "bin", "./workload", "ok"},
		{"from the root", "srv", "/bin/workload", "ok"},
		{"through an absolute link", "", "srv/absolute", "ok"},
		{"through a link that goes up too far", "", "./srv/up", "ok"},
		{"never above os/", "", "../../../bin/workload", "ok"},
		{"a link to itself", "", "./loop", "no program"},
		{"a link that leads nowhere inside", "", "srv/outside", "no program"},
		{"missing", "", "./missing", "no such program"},
		{"along a path through a file", "", "./plain/x", "no program"},
		{"not executable", "", "./plain", "not executable"},
		{"a folder", "", "./bin", "not executable"},
		{"not a program", "", "./bin/text", "no program"},
		{"its interpreter is missing", "", "./bin/script", "no such program"},
		{"missing along PATH", "", "no-such-program", "no such program"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := w.spec(resource.RootHost, tt.program, "workload", "echo")
			s.WorkDir = tt.workDir
			got := run(t, s)[0]
			if got == "unknown question echo" {
				got = "ok"
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSearchSkipsRelativeFolders(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	must(t, os.WriteFile("tool", nil, 0o755))
	s := Spec{Env: []string{"PATH=:.:" + filepath.Base(dir)}}
	if _, err := s.search("tool"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that nothing is found", err)
	}
	s.Env = []string{"PATH=/nowhere:" + dir}
	if got, err := s.search("tool"); err != nil || got != filepath.Join(dir, "tool") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRootNeedsAUserID(t *testing.T) {
	if os.Geteuid() != 0 {
		return
	}
	w := newWorld(t)
	s := w.spec(resource.RootHost, "./bin/workload", "workload", "ids")
	s.UID = 0
	if got := run(t, s)[0]; got != "sandbox" {
		t.Errorf("got %q: a workload ran as root", got)
	}
}
