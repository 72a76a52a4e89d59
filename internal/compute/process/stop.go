package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/droverhq/drover/internal/compute/disk"
	"github.com/droverhq/drover/internal/resource"
)

// lock takes the instance's lock. What holds it is a launcher on its way, which
// takes milliseconds, or one that hangs: that is ended.
func (d *Driver) lock(ctx context.Context, name string) (*os.File, error) {
	wait, cancel := context.WithTimeout(ctx, d.lockTimeout)
	defer cancel()
	lock, err := takeLock(wait, d.dir(name))
	if !errors.Is(err, errBusy) || ctx.Err() != nil {
		return lock, err
	}
	d.log.Warn("a launcher hangs and is ended", "instance", name)
	rec, _ := readRecord(d.dir(name))
	if err := d.tree(name, rec, 0).end(ctx, 0); err != nil {
		return nil, err
	}
	wait, cancel = context.WithTimeout(ctx, d.lockTimeout)
	defer cancel()
	return takeLock(wait, d.dir(name))
}

// Stop implements compute.Driver.
func (d *Driver) Stop(ctx context.Context, name string, timeout time.Duration) error {
	lock, err := d.lock(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return d.tree(name, nil, 0).end(ctx, timeout)
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	defer lock.Close()
	return d.stop(ctx, name, timeout)
}

// stop ends the tree; the caller holds the lock. That it was on purpose is
// written first: an end that nobody sees must not count as a crash.
func (d *Driver) stop(ctx context.Context, name string, timeout time.Duration) error {
	rec, err := readRecord(d.dir(name))
	if err != nil && !errors.Is(err, errDamaged) {
		return err
	}
	uid := 0
	if rec != nil {
		uid = rec.Spec.UID
	}
	if rec != nil && !rec.Stopped && rec.alive(d.boot) {
		rec.Stopped = true
		if err := writeRecord(d.dir(name), *rec); err != nil {
			// On a full disk stopping goes before bookkeeping.
			d.log.Warn("could not note that an instance is stopped on purpose", "instance", name, "err", err)
		}
	}
	return d.tree(name, rec, uid).end(ctx, timeout)
}

// Delete implements compute.Driver. The order is what a crash would want: no
// process before no data, the folder last, as it is what a scan finds.
func (d *Driver) Delete(ctx context.Context, name string, retain time.Duration) error {
	lock, err := d.lock(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Join(d.tree(name, nil, 0).end(ctx, 0), d.groups.remove(name))
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	defer lock.Close()
	if err := d.stop(ctx, name, 0); err != nil {
		return err
	}
	set, _, _ := resource.SplitInstanceName(name)
	if retain > 0 {
		_, err := d.disks.Retire(ctx, d.dir(name), disk.Retired{
			Instance: name, Set: set, UID: ownerOf(d.disk(name)), Until: time.Now().Add(retain),
		})
		if err != nil {
			return fmt.Errorf("retire the data of %s: %w", name, err)
		}
	}
	if err := d.disks.Remove(ctx, d.dir(name)); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	d.forget(name)
	// The set's folder stays while another instance is in it.
	_ = os.Remove(d.set(set))
	return d.groups.remove(name)
}

// Discard implements compute.Driver.
func (d *Driver) Discard(ctx context.Context, set string) error { return d.disks.Discard(ctx, set) }

func (d *Driver) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keeper.Forget(d.logs(name))
	delete(d.watched, name)
	delete(d.endings, name)
}
