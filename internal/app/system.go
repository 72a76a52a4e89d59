package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/droverhq/drover/internal/api"
	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/compute/process"
	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// system tells the API of the process around it.
type system struct{ a *App }

// Ready says why requests cannot be served, or nil.
func (s system) Ready() error {
	if g := s.a.gateway.State(); !g.Connected {
		return errors.New("the gateway does not answer")
	}
	return nil
}

func (s system) State(context.Context) api.SystemState {
	g := s.a.gateway.State()
	state := api.SystemState{StartedAt: s.a.startedAt, Gateway: api.GatewayState{
		State: "Unreachable", Incarnation: g.Incarnation, PID: g.PID, Applied: g.Applied,
	}}
	if g.Connected {
		state.Gateway.State = "Running"
	}
	free, size, err := fileSystem(s.a.o.Data)
	if err == nil {
		state.Disk = api.DiskState{Path: s.a.o.Data, Free: resource.Bytes(free), Size: resource.Bytes(size)}
	}
	state.Disk.Full = s.a.store.CheckSpace() != nil
	return state
}

func (s system) Backup(ctx context.Context, w io.Writer) error { return s.a.backup(ctx, w) }
func (s system) Down(ctx context.Context) error                { return s.a.Down(ctx) }

// Down stops the instances and the gateway and returns when they are gone. Documents
// and data stay: the next start brings the instances up again. Wait returns then.
func (a *App) Down(ctx context.Context) error {
	a.downOnce.Do(func() {
		a.downErr = a.stopAll(ctx)
		a.end()
	})
	return a.downErr
}

// stopAll first ends what would start things again, then the gateway, which
// finishes what is in flight, and then the instances that it was sent to.
func (a *App) stopAll(ctx context.Context) error {
	var errs []error
	for i := len(a.stopWork) - 1; i >= 0; i-- {
		errs = append(errs, a.stopWork[i](ctx))
	}
	if a.gateway != nil {
		errs = append(errs, a.gateway.Stop(ctx), dropLinkLocal(a.o.Data))
	}
	if a.driver != nil {
		_, err := compute.StopAll(ctx, a.driver)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Running is what a data folder has running outside of the control process.
type Running struct {
	Instances []string
	Gateway   bool
}

// Running says what goes on when the control process ends.
func (a *App) Running(ctx context.Context) (Running, error) {
	names, err := running(ctx, a.driver)
	return Running{Instances: names, Gateway: a.gateway.State().Connected}, err
}

func running(ctx context.Context, d compute.Driver) ([]string, error) {
	states, err := d.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for instances: %w", err)
	}
	var names []string
	for _, s := range states {
		if s.Running {
			names = append(names, s.Name)
		}
	}
	return names, nil
}

// Down stops what runs from a data folder that no server uses, by its folders
// alone. A folder that a server has is an error with resource.CodeInUse.
func Down(ctx context.Context, o Options) (stopped Running, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return stopped, err
	}
	if _, err := os.Stat(o.Data); errors.Is(err, fs.ErrNotExist) {
		return stopped, nil
	}
	release, err := store.Hold(o.Data)
	if err != nil {
		return stopped, err
	}
	defer func() { err = errors.Join(err, release()) }()
	d, err := process.New(process.Options{Data: o.Data, Logger: o.Logger})
	if err != nil {
		return stopped, fmt.Errorf("the process driver: %w", err)
	}
	defer d.Close()
	if stopped.Instances, err = running(ctx, d); err != nil {
		return stopped, err
	}
	stopped.Gateway = control.Runs(o.Data)
	if err := control.StopGateway(ctx, o.Data); err != nil {
		return stopped, fmt.Errorf("stop the gateway: %w", err)
	}
	if err := dropLinkLocal(o.Data); err != nil {
		return stopped, err
	}
	if _, err := compute.StopAll(ctx, d); err != nil {
		return stopped, fmt.Errorf("stop the instances: %w", err)
	}
	return stopped, nil
}

// Counters are the gateway's figures of a set by version.
func (a *App) Counters(set string) map[string]resource.Counters {
	f, _ := a.gateway.Figures(set)
	return f.ByVersion
}
