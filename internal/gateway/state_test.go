package gateway

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTestState(t *testing.T) *state {
	s := newState("test", slog.New(slog.DiscardHandler))
	t.Cleanup(func() { s.close(false)() })
	return s
}

func socketFile(t *testing.T, name string) (wire.Socket, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	return wire.Socket{Name: name, Address: l.Addr().String()}, f
}

func over(set, socket string) wire.Balancer {
	spec := resource.DefaultLoadBalancerSpec()
	spec.DrainTimeout = resource.Duration(time.Second)
	spec.Backend = &resource.Backend{Set: set}
	return wire.Balancer{Name: "front", Socket: socket, Spec: spec}
}

func TestAnOlderSnapshotIsRefusedWithinAnEpoch(t *testing.T) {
	s := newTestState(t)
	apply := func(generation int64) error {
		_, err := s.apply(wire.Apply{Snapshot: wire.Snapshot{Generation: generation}}, nil)
		return err
	}
	if err := apply(5); err != nil {
		t.Fatal(err)
	}
	if err := apply(4); !errors.Is(err, wire.ErrOutdated) {
		t.Errorf("got %v", err)
	}
	if err := apply(5); err != nil {
		t.Errorf("the same again: %v", err)
	}
	s.attached()
	if err := apply(3); err != nil {
		t.Errorf("the next epoch: %v", err)
	}
}

func TestABalancerThatCannotBeAppliedKeepsItsPreviousState(t *testing.T) {
	s := newTestState(t)
	socket, file := socketFile(t, "one")
	good := over("hello", "one")
	first := wire.Snapshot{Generation: 1, Sockets: []wire.Socket{socket}, Balancers: []wire.Balancer{good}}
	if done, err := s.apply(wire.Apply{Snapshot: first, New: []wire.Socket{socket}}, []*os.File{file}); err != nil || len(done.Errors) > 0 {
		t.Fatalf("%v, %v", done, err)
	}
	bad := good
	bad.Socket = "two" // which nobody gave
	bad.Spec.Backend = &resource.Backend{Set: "other"}
	other := over("hello", "one")
	other.Name = "second"
	done, err := s.apply(wire.Apply{Snapshot: wire.Snapshot{Generation: 2, Balancers: []wire.Balancer{bad}}}, nil)
	if err != nil || done.Generation != 2 || done.Errors["front"] == "" {
		t.Fatalf("%+v, %v", done, err)
	}
	if b := s.balancers["front"]; b.Socket != "one" || b.Spec.Backend.Set != "hello" || s.sockets["one"] == nil {
		t.Errorf("it became %+v", b.Balancer)
	}
	applied, sockets, _ := s.attached()
	if len(applied.Balancers) != 1 || applied.Balancers[0].Socket != "one" || len(sockets) != 1 {
		t.Errorf("the next control process is told %+v, %v", applied.Balancers, sockets)
	}
}

// A reason is told once, however often the document is tried, and again once there
// was another one, or none.
func TestACauseIsToldOnce(t *testing.T) {
	s := newTestState(t)
	var log bytes.Buffer
	s.logger = slog.New(slog.NewTextHandler(&log, nil))
	socket, file := socketFile(t, "one")
	good, bad, worse, other := over("hello", "one"), over("hello", "two"), over("hello", "three"), over("shop", "one")
	generation := int64(0)
	for i, step := range []struct {
		apply wire.Balancer
		lines int
	}{{good, 0}, {bad, 1}, {bad, 1}, {good, 1}, {bad, 1}, {worse, 2}, {worse, 2}, {good, 2}, {other, 2}, {worse, 3}} {
		generation++
		a := wire.Apply{Snapshot: wire.Snapshot{Generation: generation, Sockets: []wire.Socket{socket}, Balancers: []wire.Balancer{step.apply}}}
		var files []*os.File
		if i == 0 {
			a.New, files = []wire.Socket{socket}, []*os.File{file}
		}
		if _, err := s.apply(a, files); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(log.String(), "keeps its previous state"); got != step.lines {
			t.Errorf("step %d: %d lines instead of %d", i, got, step.lines)
		}
	}
}

// A change that is refused is followed by the state before, with sockets that the
// gateway has kept: connections go on.
func TestASocketThatIsGivenAgainDisturbsNobody(t *testing.T) {
	s := newTestState(t)
	socket, file := socketFile(t, "one")
	again, err := unix.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	give := func(generation int64, f *os.File) front {
		t.Helper()
		w := wire.Snapshot{Generation: generation, Sockets: []wire.Socket{socket}, Balancers: []wire.Balancer{over("hello", "one")}}
		done, err := s.apply(wire.Apply{Snapshot: w, New: []wire.Socket{socket}}, []*os.File{f})
		if err != nil || len(done.Errors) > 0 {
			t.Fatalf("%v, %v", done, err)
		}
		return s.balancers["front"].front
	}
	first := give(1, file)
	if give(2, os.NewFile(uintptr(again), "again")) != first {
		t.Error("its listener was replaced")
	}
}

func TestASocketThatIsNotNamedIsClosed(t *testing.T) {
	s := newTestState(t)
	socket, file := socketFile(t, "one")
	w := wire.Snapshot{Generation: 1, Sockets: []wire.Socket{socket}, Balancers: []wire.Balancer{over("hello", "one")}}
	if _, err := s.apply(wire.Apply{Snapshot: w, New: []wire.Socket{socket}}, []*os.File{file}); err != nil {
		t.Fatal(err)
	}
	if l, err := net.Listen("tcp", socket.Address); err == nil {
		l.Close()
		t.Fatal("nobody holds it")
	}
	if _, err := s.apply(wire.Apply{Snapshot: wire.Snapshot{Generation: 2}}, nil); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", socket.Address)
	if err != nil {
		t.Fatalf("it is held after the confirmation: %v", err)
	}
	l.Close()
}

func TestGuard(t *testing.T) {
	var g guard
	if g.forbids("127.0.0.1:1") {
		t.Error("nothing is forbidden before a snapshot")
	}
	g.set([]wire.Socket{{Address: "127.0.0.1:7400"}, {Address: "0.0.0.0:8080"}, {Address: "[::]:8443"}})
	for address, want := range map[string]bool{
		"127.0.0.1:7400":          true,
		"[::ffff:127.0.0.1]:7400": true,
		"0.0.0.0:7400":            true,
		"127.0.0.2:7400":          false,
		"127.0.0.1:7401":          false,
		"127.0.0.1:8080":          true,
		"127.0.0.9:8080":          true,
		"[::1]:8443":              true,
		"192.0.2.1:8080":          false,
		"169.254.169.254:80":      true,
		"[fd00:ec2::254]:80":      true,
		"169.254.1.1:80":          false,
		"example.com:80":          false,
	} {
		if got := g.forbids(address); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

func TestWorseDrain(t *testing.T) {
	idle, timeout, dead, lasts := resource.DrainIdle, resource.DrainTimeout, resource.DrainDead, resource.DrainEnd("")
	for _, c := range []struct{ a, b, want resource.DrainEnd }{
		{idle, idle, idle}, {idle, timeout, timeout}, {timeout, dead, dead}, {dead, lasts, lasts}, {lasts, idle, lasts},
	} {
		if got := (&wire.Drain{Ended: c.a}).And(&wire.Drain{Ended: c.b}).Ended; got != c.want {
			t.Errorf("%q and %q: %q", c.a, c.b, got)
		}
	}
}

func TestAnInstanceThatStartsAgainIsAnotherProcess(t *testing.T) {
	s := newTestState(t)
	at := time.Now()
	of := func(admission resource.Admission, at time.Time) wire.Snapshot {
		return wire.Snapshot{Generation: at.UnixNano(), Sets: []wire.Set{{Name: "hello", Instances: []wire.Instance{{
			Name: "hello_0", Address: "127.0.0.1:1", Version: "1.0.0", Admission: admission, StartedAt: at,
		}}}}}
	}
	apply := func(w wire.Snapshot) *instance {
		t.Helper()
		if _, err := s.apply(wire.Apply{Snapshot: w}, nil); err != nil {
			t.Fatal(err)
		}
		return s.sets["hello"].instances["hello_0"]
	}
	first := apply(of(resource.AdmissionOut, at))
	if again := apply(of(resource.AdmissionInService, at)); again != first {
		t.Error("a change of admission made it another")
	}
	if next := apply(of(resource.AdmissionInService, at.Add(time.Second))); next == first || next.backend == first.backend {
		t.Error("a new process is taken for the old one")
	}
	if _, err := s.apply(wire.Apply{Snapshot: wire.Snapshot{Generation: at.Add(time.Minute).UnixNano()}}, nil); err != nil {
		t.Fatal(err)
	}
	if len(s.sets) != 0 {
		t.Error("a set that is gone is kept")
	}
}
