package process

import (
	"context"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"golang.org/x/sys/unix"
)

// ending is how a watched process ended.
type ending struct {
	id   identity
	exit resource.Exit
}

// watch notices the end of an instance's process, once for each process.
// A child is also waited for, so that it leaves no zombie behind and its exit
// code is known; nobody can wait for an adopted process, so its code stays null.
func (d *Driver) watch(name string, id identity) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watched[name] == id || d.ctx.Err() != nil {
		return
	}
	d.watched[name] = id
	d.watchers.Go(func() {
		if awaitExit(d.ctx, id) != nil {
			return
		}
		d.ended(name, id)
	})
}

// ended keeps how the process ended. It is reaped under the lock, like in
// exitOf: only one can learn the exit code, and the other must find it here.
func (d *Driver) ended(name string, id identity) {
	d.mu.Lock()
	known := d.endings[name].id == id
	if !known {
		if e := (ending{id, reap(id)}); d.watched[name] == id {
			d.endings[name] = e
		}
	}
	d.mu.Unlock()
	select {
	case d.exits <- name:
	case <-d.ctx.Done():
	}
}

// reap tells how a process that has ended did, and waits for it if it is a
// child. A child that nobody waited for still has its pid, so what has the pid
// and another start is not it and is let be.
func reap(id identity) resource.Exit {
	exit := resource.Exit{At: time.Now().UTC()}
	if p, err := readProc(id.PID); err != nil || p.start != id.Start {
		return exit
	}
	var status unix.WaitStatus
	pid := 0
	err := retryInterrupted(func() (err error) {
		pid, err = unix.Wait4(id.PID, &status, unix.WNOHANG, nil)
		return err
	})
	switch {
	case err != nil || pid != id.PID: // not our child
	case status.Signaled():
		exit.Signal = unix.SignalName(status.Signal())
	default:
		code := status.ExitStatus()
		exit.Code = &code
	}
	return exit
}

// pollExit is awaitExit where the system has nothing better.
func pollExit(ctx context.Context, id identity, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for id.alive(id.Boot) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// Exits implements compute.Driver.
func (d *Driver) Exits() <-chan string { return d.exits }

// Close implements compute.Driver.
func (d *Driver) Close() error {
	d.cancel()
	d.watchers.Wait()
	d.groups.close()
	return nil
}
