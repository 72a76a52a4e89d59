package compute_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// slow is a driver whose first starts take until it is let go on.
type slow struct {
	compute.Driver
	starts chan string
	goOn   chan struct{}
}

func (d slow) Start(ctx context.Context, spec compute.Spec) (compute.State, error) {
	d.starts <- spec.Name
	select {
	case <-d.goOn:
	case <-ctx.Done():
		return compute.State{}, context.Cause(ctx)
	}
	return d.Driver.Start(ctx, spec)
}

// What is scaled in while it waits for its turn to start is never started.
func TestWhatIsDeletedWhileItWaitsIsNotStarted(t *testing.T) {
	s := newSite(t)
	s.stop()
	d := slow{s.Driver, make(chan string, 1000), make(chan struct{})}
	s.run(d)
	var first []string
	for range 2 * runtime.NumCPU() {
		first = append(first, s.create())
	}
	for range first {
		<-d.starts
	}
	late := s.create()
	s.wait(late, "waits", func(st resource.InstanceStatus) bool { return st.Phase == resource.InstanceStarting })
	s.edit(late, func(st *resource.InstanceStatus) { st.Goal = resource.GoalDelete })
	close(d.goOn)
	s.Until("it is gone", func() bool { _, there := s.status(late); return !there })
	for _, name := range first {
		s.wait(name, "runs", isRunning)
	}
	if len(d.starts) > 0 {
		t.Errorf("%s was started all the same", <-d.starts)
	}
}

// stubborn is a driver whose instances named stuck_… take their whole time-out to stop.
type stubborn struct{ compute.Driver }

func (d stubborn) Inspect(ctx context.Context, name string) (compute.State, error) {
	if !strings.HasPrefix(name, "stuck_") {
		return d.Driver.Inspect(ctx, name)
	}
	return compute.State{Name: name, Spec: &compute.Spec{Name: name, Set: "stuck"}, Running: true, PID: 1}, nil
}

func (d stubborn) Stop(ctx context.Context, name string, timeout time.Duration) error {
	if !strings.HasPrefix(name, "stuck_") {
		return d.Driver.Stop(ctx, name, timeout)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// However many instances take long to stop, another is started at once.
func TestStopsThatTakeLongKeepNobodyWaiting(t *testing.T) {
	s := newSite(t)
	s.stop()
	s.run(stubborn{s.Driver})
	s.update(func(tx *store.Tx) error {
		for n := range 300 {
			in := resource.Instance{Meta: resource.Meta{Kind: resource.KindInstance, Name: resource.InstanceName("stuck", n)}}
			in.Status = resource.InstanceStatus{Set: "stuck", Goal: resource.GoalDelete, Phase: resource.InstanceRunning}
			if _, err := store.PutAs(tx, in); err != nil {
				return err
			}
		}
		return nil
	})
	for n := range 300 {
		s.wait(resource.InstanceName("stuck", n), "is being stopped", func(st resource.InstanceStatus) bool {
			return st.Phase == resource.InstanceStopping
		})
	}
	s.wait(s.create(), "runs", isRunning)
}
