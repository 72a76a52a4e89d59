package compute_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/compute/computetest"
	"github.com/droverhq/drover/internal/compute/process"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if os.Args[1] == "launch" {
			os.Exit(process.LaunchMain(os.Args[2:]))
		}
		if code, ok := computetest.Main(os.Args[1:]); ok {
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}

func subject() computetest.Subject {
	return computetest.Subject{New: func(t testing.TB, w *computetest.World) compute.Driver {
		d, err := process.New(process.Options{Data: w.Data, Images: w.Images})
		must(t, err)
		return d
	}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// probes are results that the test makes up.
type probes struct {
	mu      sync.Mutex
	results map[string]compute.ProbeResult // guarded by mu
}

func (p *probes) Probe(name string) (compute.ProbeResult, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.results[name]
	return r, ok
}

func (p *probes) set(name string, r compute.ProbeResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results[name] = r
}

// site is a Compute with its store and a driver that starts real processes.
type site struct {
	*computetest.World
	store  *store.Store
	probes *probes
	ports  compute.Range
	stop   func()
	c      *compute.Compute
}

func newSite(t testing.TB) *site {
	s := &site{World: computetest.NewWorld(t, subject()), probes: &probes{results: map[string]compute.ProbeResult{}}}
	var err error
	s.store, err = store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { s.stop(); must(t, s.store.Close()) })
	// Ports of this test's own, since others run at the same time, and below those
	// that the system gives to outgoing connections.
	s.ports.First = 10000 + os.Getpid()%200*100
	s.ports.Last = s.ports.First + 99
	set := resource.ScaleSet{Meta: resource.Meta{Kind: resource.KindScaleSet, Name: "web"}, Spec: resource.DefaultScaleSetSpec()}
	set.Spec.Image = "web:1.0.0"
	s.update(func(tx *store.Tx) error { _, err := store.PutAs(tx, set); return err })
	s.run(s.Driver)
	return s
}

// run starts a Compute, as the start of Drover does; s.stop ends it, as its end does.
func (s *site) run(d compute.Driver) {
	ctx, cancel := context.WithCancel(context.Background())
	s.c = compute.New(compute.Options{Store: s.store, Driver: d, Probes: s.probes, Ports: s.ports})
	ended := make(chan error, 1)
	go func() { ended <- s.c.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			s.Errorf("compute ended: %v", err)
		}
	})
}

func (s *site) restart() {
	s.stop()
	s.Reopen()
	s.run(s.Driver)
}

func (s *site) update(fn func(*store.Tx) error) {
	s.Helper()
	_, err := s.store.Update(context.Background(), fn)
	must(s, err)
}

// create makes an instance's document, as fleet does.
func (s *site) create(command ...string) string {
	spec := s.Spec(command...)
	in := resource.Instance{Meta: resource.Meta{Kind: resource.KindInstance, Name: spec.Name}}
	in.Status = resource.InstanceStatus{
		Set: "web", Colour: resource.Blue, Model: spec.Model, Version: "1.0.0", Health: resource.HealthInitializing,
		Admission: resource.AdmissionOut, Goal: resource.GoalRun, Phase: resource.InstancePending,
	}
	s.update(func(tx *store.Tx) error { _, err := store.PutAs(tx, in); return err })
	return spec.Name
}

func (s *site) edit(name string, fn func(*resource.InstanceStatus)) {
	s.Helper()
	s.update(func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindInstance, name, func(in *resource.Instance) error { fn(&in.Status); return nil })
	})
}

func (s *site) status(name string) (resource.InstanceStatus, bool) {
	in, err := store.GetAs[resource.InstanceSpec, resource.InstanceStatus](context.Background(), s.store, resource.KindInstance, name)
	return in.Status, err == nil
}

// wait waits until the document is as wanted, and returns it.
func (s *site) wait(name, what string, ok func(resource.InstanceStatus) bool) (got resource.InstanceStatus) {
	s.Helper()
	defer func() {
		if s.Failed() {
			s.Logf("%s: %+v", name, got)
		}
	}()
	s.Until(name+" "+what, func() bool { got, _ = s.status(name); return ok(got) })
	return got
}

func isRunning(st resource.InstanceStatus) bool { return st.Phase == resource.InstanceRunning }

// healthy makes the probe answer for the process that runs now.
func (s *site) healthy(name string) resource.InstanceStatus {
	s.Helper()
	st := s.wait(name, "runs", isRunning)
	s.probes.set(name, compute.ProbeResult{StartedAt: *st.StartedAt, Successes: 1, LastAt: time.Now()})
	s.c.Wake(name)
	return s.wait(name, "is healthy", func(st resource.InstanceStatus) bool { return st.Health == resource.HealthHealthy })
}

func TestInstanceLife(t *testing.T) {
	s := newSite(t)
	name := s.create("self", "serve")
	st := s.wait(name, "runs", isRunning)
	if st.Health != resource.HealthInitializing || st.PID == 0 || st.StartedAt == nil || st.GraceSince == nil || st.Restarts != 0 {
		t.Errorf("running: %+v", st)
	}
	_, text, err := net.SplitHostPort(st.Address)
	must(t, err)
	if port, _ := strconv.Atoi(text); port < s.ports.First || port > s.ports.Last {
		t.Errorf("port %s is none of %v", text, s.ports)
	}
	s.Until("it listens", func() bool { _, err := net.Dial("tcp", st.Address); return err == nil })
	st = s.healthy(name)
	revision := s.store.Revision()
	for range 20 {
		s.c.Wake(name)
	}
	s.edit(name, func(st *resource.InstanceStatus) { st.Goal = resource.GoalDelete })
	s.Until("it is gone", func() bool { _, there := s.status(name); return !there })
	// The edit, Stopping, and the deletion: looking again wrote nothing.
	if n := s.store.Revision() - revision; n > 3 {
		t.Errorf("%d writes", n)
	}
	if _, err := os.Stat(filepath.Join(s.Data, "instances/web", name)); err == nil {
		t.Error("its folder is there")
	}
	s.update(func(tx *store.Tx) error {
		for _, pool := range []string{"port", "uid"} {
			if booked, err := tx.Booked(pool); err != nil || len(booked) > 0 {
				t.Errorf("%s: %v %v", pool, booked, err)
			}
		}
		return nil
	})
}

func TestCrashRestarts(t *testing.T) {
	s := newSite(t)
	name := s.create("exit", "3")
	st := s.wait(name, "was restarted", func(st resource.InstanceStatus) bool { return st.Restarts >= 2 && st.LastExit != nil })
	if st.LastExit.Code == nil || *st.LastExit.Code != 3 || st.Health != resource.HealthInitializing {
		t.Errorf("%+v, last exit %+v", st, st.LastExit)
	}
}

func TestHealthyProcessIsKilled(t *testing.T) {
	s := newSite(t)
	name := s.create("self", "serve")
	first := s.healthy(name)
	must(t, syscall.Kill(first.PID, syscall.SIGKILL))
	s.wait(name, "is not healthy", func(st resource.InstanceStatus) bool { return st.Health != resource.HealthHealthy })
	st := s.wait(name, "runs again", func(st resource.InstanceStatus) bool { return isRunning(st) && st.PID != first.PID })
	if st.Restarts != 1 || st.LastExit.Signal != "SIGKILL" || st.HealthySince != nil || !st.GraceSince.After(*first.GraceSince) {
		t.Errorf("%+v, last exit %+v", st, st.LastExit)
	}
	s.healthy(name)
}

func TestAdoption(t *testing.T) {
	s := newSite(t)
	name := s.create("self", "serve")
	before := s.healthy(name)
	s.restart()
	s.c.Wake(name)
	s.OnlyOne(name)
	must(t, syscall.Kill(before.PID, syscall.SIGKILL))
	st := s.wait(name, "runs again", func(st resource.InstanceStatus) bool { return isRunning(st) && st.PID != before.PID })
	if st.Restarts != 1 || st.Address != before.Address {
		t.Errorf("%+v", st)
	}
}

// down, and the next up: everything runs again and nothing of it is a crash.
func TestDownAndUp(t *testing.T) {
	s := newSite(t)
	var all []string
	for range 3 {
		all = append(all, s.create())
	}
	for _, name := range all {
		s.wait(name, "runs", isRunning)
	}
	s.stop()
	if n, err := compute.StopAll(t.Context(), s.Driver); n != 3 || err != nil {
		t.Fatalf("stopped %d, %v", n, err)
	}
	old := map[string]resource.InstanceStatus{}
	for _, name := range all {
		old[name], _ = s.status(name)
	}
	s.restart()
	for _, name := range all {
		st := s.wait(name, "runs again", func(st resource.InstanceStatus) bool { return isRunning(st) && st.PID != old[name].PID })
		if st.Restarts != 0 || st.LastExit != nil {
			t.Errorf("%+v", st)
		}
		s.OnlyOne(name)
	}
}

// An older snapshot was served: what it doesn't know keeps running and is listed again.
func TestUnknownInstanceIsKept(t *testing.T) {
	s := newSite(t)
	name := s.create()
	before := s.wait(name, "runs", isRunning)
	s.stop()
	s.update(func(tx *store.Tx) error {
		return errors.Join(tx.Delete(resource.KindInstance, name), tx.Unbook("port", name), tx.Unbook("uid", name))
	})
	s.restart()
	st := s.wait(name, "is listed", isRunning)
	if st.PID != before.PID || st.Address != before.Address || st.Admission != resource.AdmissionOut || st.Model.Key() != before.Model.Key() {
		t.Errorf("%+v", st)
	}
	if resource.FindCondition(st.Conditions, resource.ConditionRecovered) == nil {
		t.Error("it isn't marked as recovered")
	}
	s.OnlyOne(name)
	other := s.create()
	if st := s.wait(other, "runs", isRunning); st.Address == before.Address {
		t.Error("its port was given to another")
	}
}

// A program that cannot have its port, because somebody was faster, gets another.
func TestPortTakenBySomebodyElse(t *testing.T) {
	s := newSite(t)
	busy, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.ports.First)))
	must(t, err)
	defer busy.Close()
	name := s.create("sh", `while ! [ -e "$DATA_DIR/go" ]; do sleep 0.02; done; [ -e "$DATA_DIR/again" ] && exec sleep 1000; : > "$DATA_DIR/again"; exit 1`)
	first := s.wait(name, "runs", isRunning)
	if first.Address == busy.Addr().String() {
		t.Fatal("it was given a port that is in use")
	}
	taken, err := net.Listen("tcp", first.Address)
	must(t, err)
	defer taken.Close()
	must(t, os.WriteFile(s.DataFile(name, "go"), nil, 0o644))
	st := s.wait(name, "runs elsewhere", func(st resource.InstanceStatus) bool { return isRunning(st) && st.Address != first.Address })
	if st.Restarts != 0 || st.Crashes != 1 { // no restart, but a step of the schedule
		t.Errorf("%+v", st)
	}
}

// Somebody else answers on the port: that makes nobody healthy.
func TestHijackedPort(t *testing.T) {
	s := newSite(t)
	name := s.create()
	st := s.wait(name, "runs", isRunning)
	l, err := net.Listen("tcp", st.Address)
	must(t, err)
	defer l.Close()
	if o, err := s.Driver.OwnsPort(t.Context(), name); o == compute.OwnerUnknown {
		t.Logf("this system doesn't tell whose a socket is: %v", err)
		return
	}
	s.probes.set(name, compute.ProbeResult{StartedAt: *st.StartedAt, Successes: 1})
	s.c.Wake(name)
	st = s.wait(name, "has the condition", func(st resource.InstanceStatus) bool {
		return resource.FindCondition(st.Conditions, compute.ConditionPortTaken) != nil
	})
	if st.Health != resource.HealthInitializing {
		t.Errorf("health %s", st.Health)
	}
}

func TestMissingImageIsTriedAgain(t *testing.T) {
	s := newSite(t)
	hold := errors.New("the disk of the gallery is away")
	s.Images.Fail(hold)
	name := s.create()
	st := s.wait(name, "failed", func(st resource.InstanceStatus) bool { return st.Phase == resource.InstanceFailed })
	c := resource.FindCondition(st.Conditions, compute.ConditionStartFailed)
	if c == nil || c.Reason != compute.ReasonStartFailed || st.NextStart == nil || st.Restarts != 0 || st.GraceSince == nil {
		t.Errorf("%+v", st)
	}
	s.Images.Fail(nil)
	st = s.wait(name, "runs", isRunning)
	if resource.FindCondition(st.Conditions, compute.ConditionStartFailed) != nil {
		t.Error("the condition stays")
	}
}

// dying starts an instance and is then as dead as a Drover that was killed.
type dying struct {
	compute.Driver
	die func()
}

func (d dying) Start(ctx context.Context, spec compute.Spec) (compute.State, error) {
	_, err := d.Driver.Start(context.Background(), spec)
	d.die()
	<-ctx.Done()
	return compute.State{Name: spec.Name}, errors.Join(err, ctx.Err())
}

// Drover dies after a start and before it is reported.
func TestStartIsNotReported(t *testing.T) {
	s := newSite(t)
	s.stop()
	ctx, cancel := context.WithCancel(t.Context())
	c := compute.New(compute.Options{Store: s.store, Driver: dying{s.Driver, cancel}, Probes: s.probes, Ports: s.ports})
	name := s.create()
	must(t, c.Run(ctx))
	if st, _ := s.status(name); st.PID != 0 {
		t.Fatalf("it was reported: %+v", st)
	}
	s.restart()
	st := s.wait(name, "is adopted", isRunning)
	s.OnlyOne(name)
	if n := len(s.Starts(name)); n != 1 || st.Restarts != 0 {
		t.Errorf("started %d times, %+v", n, st)
	}
	s.update(func(tx *store.Tx) error {
		booked, err := tx.Booked("port")
		if port := s.Inspect(name).Spec.Port; booked[port] != name {
			t.Errorf("it listens on %d, booked is %v", port, booked)
		}
		return err
	})
}

func TestManyInstances(t *testing.T) {
	s := newSite(t)
	var all []string
	for range 20 {
		all = append(all, s.create())
	}
	var seen []string
	for _, name := range all {
		seen = append(seen, s.wait(name, "runs", isRunning).Address)
		s.OnlyOne(name)
	}
	slices.Sort(seen)
	if n := len(slices.Compact(seen)); n != len(all) {
		t.Errorf("%d instances on %d addresses", len(all), n)
	}
	for _, name := range all {
		s.edit(name, func(st *resource.InstanceStatus) { st.Goal = resource.GoalDelete })
	}
	for _, name := range all {
		s.Until(name+" is gone", func() bool { _, there := s.status(name); return !there })
	}
}
