package compute_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

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
