package computetest

import (
	"bytes"
	"context"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/compute"
)

// Subject is the driver under test.
type Subject struct {
	New func(t testing.TB, w *World) compute.Driver
	// Steps of Drover and of its launcher, in a start, at which they can be killed.
	Steps, LauncherSteps []string
}

// Run tests a driver against the contract.
func Run(t *testing.T, s Subject) {
	tests := []struct {
		name string
		test func(w *World)
	}{
		{"StartInspectStopDelete", testLife},
		{"StartTwice", testStartTwice},
		{"StartFromManySides", testStartRace},
		{"StopIsPolite", testPolite},
		{"StopIsFirm", testStubborn},
		{"Crash", testCrash},
		{"Killed", testKilled},
		{"Reimage", testReimage},
		{"RestartKeepsDisks", testRestart},
		{"ReimageInterrupted", func(w *World) { testReimageInterrupted(w, s) }},
		{"AdoptedProcessEnds", testAdopted},
		{"StoppedIsNoCrash", testStoppedIsNoCrash},
		{"StopAll", testStopAll},
		{"NoSuchImage", testNoImage},
		{"NotExecutable", testNotExecutable},
		{"NoProgram", testNoProgram},
		{"NoSpace", testNoSpace},
		{"Daemon", testDaemon},
		{"Port", testPort},
		{"Logs", testLogs},
		{"Interrupted", func(w *World) { testInterrupted(w, s) }},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) { c.test(NewWorld(t, s)) })
	}
}

func testLife(w *World) {
	spec := w.Spec()
	if s := w.Inspect(spec.Name); s.Exists || s.Running || s.Spec != nil {
		w.Fatalf("before anything: %+v", s)
	}
	s := w.Start(spec)
	if !s.Running || s.PID == 0 || s.StartedAt.IsZero() || s.Spec.Model.Key() != spec.Model.Key() || s.Spec.Port != spec.Port {
		w.Fatalf("started: %+v", s)
	}
	w.OnlyOne(spec.Name)
	list, err := w.Driver.List(w.Context())
	must(w, err)
	if len(list) != 1 || list[0].PID != s.PID {
		w.Fatalf("list: %+v", list)
	}
	must(w, w.Driver.Stop(w.Context(), spec.Name, time.Second))
	if s := w.Inspect(spec.Name); s.Running || s.Leftover || !s.Exists || s.Exit != nil {
		w.Fatalf("stopped: %+v", s)
	}
	must(w, w.Driver.Stop(w.Context(), spec.Name, time.Second))
	must(w, w.Driver.Delete(w.Context(), spec.Name, 0))
	if s := w.Inspect(spec.Name); s.Exists || s.Spec != nil {
		w.Fatalf("deleted: %+v", s)
	}
	must(w, w.Driver.Delete(w.Context(), spec.Name, 0))
}

func testStartTwice(w *World) {
	spec := w.Spec()
	first := w.Start(spec)
	second, err := w.Driver.Start(w.Context(), spec)
	must(w, err)
	if first.PID != second.PID || !first.StartedAt.Equal(second.StartedAt) {
		w.Fatalf("first %d, second %d", first.PID, second.PID)
	}
	w.OnlyOne(spec.Name)
}

// testStartRace starts one instance from several drivers at once, as two Drovers
// do that both believe they are the only one.
func testStartRace(w *World) {
	spec := w.Spec()
	var wg sync.WaitGroup
	for range 4 {
		d := w.New(w, w)
		defer d.Close()
		wg.Go(func() {
			if _, err := d.Start(w.Context(), spec); err != nil {
				w.Error(err)
			}
		})
	}
	wg.Wait()
	w.OnlyOne(spec.Name)
	if n := len(w.Starts(spec.Name)); n != 1 {
		w.Fatalf("started %d times", n)
	}
}

func testPolite(w *World) {
	spec := w.Spec("polite")
	w.Start(spec)
	w.Until("the trap is set", func() bool { return w.Has(spec.Name, "ready") })
	must(w, w.Driver.Stop(w.Context(), spec.Name, 10*time.Second))
	if s := w.Inspect(spec.Name); s.Running || s.Leftover {
		w.Fatalf("stopped: %+v", s)
	}
	if !w.Has(spec.Name, "bye") {
		w.Error("it had no time to say bye")
	}
}

func testStubborn(w *World) {
	spec := w.Spec("stubborn")
	s := w.Start(spec)
	w.Until("the trap is set", func() bool { return w.Has(spec.Name, "ready") })
	begin := time.Now()
	must(w, w.Driver.Stop(w.Context(), spec.Name, 300*time.Millisecond))
	if took := time.Since(begin); took < 300*time.Millisecond {
		w.Errorf("killed after %s", took)
	}
	if alive(s.PID) {
		w.Error("it lives")
	}
}

func testCrash(w *World) {
	spec := w.Spec("exit", "3")
	w.Start(spec)
	s := w.Exit(spec.Name)
	if s.Exit == nil || s.Exit.Code == nil || *s.Exit.Code != 3 || s.Exit.Signal != "" || s.Exit.At.IsZero() {
		w.Fatalf("exit: %+v", s.Exit)
	}
	spec.Model.Command = []string{"./run", "sleep"}
	spec.Restarts = 1
	if s := w.Start(spec); s.Spec.Restarts != 1 {
		w.Fatalf("restarted: %+v", s)
	}
	w.OnlyOne(spec.Name)
}

func testKilled(w *World) {
	spec := w.Spec()
	s := w.Start(spec)
	must(w, syscall.Kill(s.PID, syscall.SIGKILL))
	if s = w.Exit(spec.Name); s.Exit == nil || s.Exit.Code != nil || s.Exit.Signal != "SIGKILL" {
		w.Fatalf("exit: %+v", s.Exit)
	}
}

func testRestart(w *World) {
	spec := w.used()
	must(w, w.Driver.Stop(w.Context(), spec.Name, time.Second))
	first := w.Inspect(spec.Name)
	spec.Restart = 1
	second := w.Start(spec)
	if second.Spec.Restart != 1 || !second.StartedAt.After(first.StartedAt) {
		w.Fatalf("first %+v second %+v", first, second)
	}
	must(w, syscall.Kill(second.PID, syscall.SIGKILL))
	w.Exit(spec.Name)
	if third := w.Start(spec); third.PID == second.PID || !third.StartedAt.After(second.StartedAt) {
		w.Fatalf("second %+v third %+v", second, third)
	}
	w.kept(spec, true)
	w.OnlyOne(spec.Name)
}

func testAdopted(w *World) {
	spec := w.Spec()
	first := w.Start(spec)
	w.Reopen()
	s := w.Inspect(spec.Name)
	if !s.Running || s.PID != first.PID || !s.StartedAt.Equal(first.StartedAt) || s.Spec.Port != spec.Port {
		w.Fatalf("adopted: %+v", s)
	}
	must(w, syscall.Kill(s.PID, syscall.SIGKILL))
	if s = w.Exit(spec.Name); s.Exit == nil {
		w.Fatalf("ended: %+v", s)
	}
	w.Start(spec)
	w.OnlyOne(spec.Name)
}

func testStoppedIsNoCrash(w *World) {
	spec := w.Spec()
	w.Start(spec)
	must(w, w.Driver.Stop(w.Context(), spec.Name, time.Second))
	w.Reopen()
	if s := w.Inspect(spec.Name); s.Exit != nil || s.Running || s.Spec == nil {
		w.Fatalf("%+v", s)
	}
	w.Start(spec)
	w.OnlyOne(spec.Name)
}

func testStopAll(w *World) {
	for range 3 {
		w.Start(w.Spec())
	}
	gone := w.Spec("exit", "0")
	w.Start(gone)
	w.Exit(gone.Name)
	w.Reopen()
	n, err := compute.StopAll(w.Context(), w.Driver)
	if n != 3 || err != nil {
		w.Fatalf("stopped %d, %v", n, err)
	}
	states, err := w.Driver.List(w.Context())
	must(w, err)
	for _, s := range states {
		if s.Running || s.Leftover || !s.Exists {
			w.Errorf("%+v", s)
		}
	}
}

func testNoImage(w *World) {
	spec := w.Spec()
	spec.Model.Digest = Missing()
	if _, err := w.Driver.Start(w.Context(), spec); reason(err) != compute.ReasonImageMissing {
		w.Fatal(reason(err))
	}
	must(w, w.Driver.Delete(w.Context(), spec.Name, 0))
}

func testNotExecutable(w *World) {
	spec := w.Spec()
	spec.Model.Command = []string{"./notes"}
	s, err := w.Driver.Start(w.Context(), spec)
	if reason(err) != compute.ReasonNotExecutable || !strings.Contains(err.Error(), "notes") {
		w.Fatal(reason(err), err)
	}
	if s.Running || s.Exit != nil {
		w.Fatalf("%+v", s)
	}
	// It is the same for a Drover that comes later, and no crash.
	w.Reopen()
	if s := w.Inspect(spec.Name); s.Failure == nil || s.Failure.Reason != compute.ReasonNotExecutable || s.Exit != nil {
		w.Fatalf("%+v", s)
	}
}

func testNoProgram(w *World) {
	for _, command := range [][]string{{"./nothing"}, {"no-such-program-anywhere"}, {"/nothing/here"}} {
		spec := w.Spec()
		spec.Model.Command = command
		if _, err := w.Driver.Start(w.Context(), spec); reason(err) != compute.ReasonNoProgram {
			w.Errorf("%v: %s", command, reason(err))
		}
	}
	spec := w.Spec()
	spec.Model.Digest = w.Digest(map[string]File{"x": {"", 0o644}}, ocispec.ImageConfig{})
	if _, err := w.Driver.Start(w.Context(), spec); reason(err) != compute.ReasonNoProgram {
		w.Errorf("nothing to run: %s", reason(err))
	}
}

func testNoSpace(w *World) {
	running := w.Spec()
	w.Start(running)
	spec := w.Spec()
	spec.Model.Digest = w.Digest(map[string]File{"run": {program, 0o755}, "more": {"x", 0o644}}, ocispec.ImageConfig{Entrypoint: []string{"./run", "sleep"}})
	w.Images.Fail(&os.PathError{Op: "write", Path: "layer", Err: syscall.ENOSPC})
	if _, err := w.Driver.Start(w.Context(), spec); reason(err) != compute.ReasonNoSpace {
		w.Fatal(reason(err))
	}
	w.OnlyOne(running.Name)
	w.Images.Fail(nil)
	w.Start(spec)
	w.OnlyOne(spec.Name)
}

// testDaemon: the program ends, its grandchild doesn't, in a session of its own
// and without a descriptor that would tie it to anything.
func testDaemon(w *World) {
	spec := w.Spec("self", "daemon")
	w.Start(spec)
	s := w.Exit(spec.Name)
	var grandchild int
	w.Until("the grandchild is there", func() bool {
		text, _ := os.ReadFile(w.DataFile(spec.Name, "grandchild"))
		grandchild, _ = strconv.Atoi(string(text))
		return grandchild != 0
	})
	if s = w.Inspect(spec.Name); s.Running || !s.Leftover {
		w.Fatalf("after the program ended: %+v", s)
	}
	// A start ends what is left, and so does a stop.
	spec.Model.Command = []string{"./run", "sleep"}
	w.Start(spec)
	if alive(grandchild) {
		w.Fatal("the grandchild lives beside the new process")
	}
	w.OnlyOne(spec.Name)
	must(w, w.Driver.Stop(w.Context(), spec.Name, time.Second))
	if s := w.Inspect(spec.Name); s.Leftover {
		w.Fatalf("stopped: %+v", s)
	}
}

func testPort(w *World) {
	spec := w.Spec("self", "serve")
	w.Start(spec)
	w.Until("it listens", func() bool { used, err := w.Driver.PortInUse(spec.Port); return used && err == nil })
	if o, err := w.Driver.OwnsPort(w.Context(), spec.Name); err != nil || o != compute.OwnerSelf && o != compute.OwnerUnknown {
		w.Errorf("its own port: %v, %v", o, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(w, err)
	defer l.Close()
	other := w.Spec()
	other.Port = l.Addr().(*net.TCPAddr).Port
	w.Start(other)
	if o, err := w.Driver.OwnsPort(w.Context(), other.Name); err != nil || o != compute.OwnerOther && o != compute.OwnerUnknown {
		w.Errorf("our port: %v, %v", o, err)
	}
	if used, err := w.Driver.PortInUse(FreePort(w)); used || err != nil {
		w.Errorf("a free port is in use: %v, %v", used, err)
	}
}

func testLogs(w *World) {
	spec := w.Spec("sh", "echo to stdout; echo to stderr >&2; exec sleep 1000")
	w.Start(spec)
	var out bytes.Buffer
	w.Until("the output is in the log", func() bool {
		out.Reset()
		must(w, w.Driver.Logs(context.Background(), spec.Name, -1, false, &out))
		return strings.Count(out.String(), "\n") >= 3
	})
	if want := "started as " + spec.Name + "\nto stdout\nto stderr\n"; out.String() != want {
		w.Errorf("log %q, want %q", out.String(), want)
	}
}

// FreePort is one that nothing listens on at the moment.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
