package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/droverhq/drover/internal/store/sqlite"
)

// Run takes snapshots and refills the disk reserve until ctx ends or the store
// is closed.
func (s *Store) Run(ctx context.Context) error {
	if !s.enter() {
		return ErrClosed
	}
	defer s.owned.Done()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	clock := snapshotClock{
		every: int64(s.options.SnapshotEvery), interval: s.options.SnapshotInterval,
		none: !s.disk.hasSnapshot(), last: time.Now(),
	}
	for {
		select {
		case <-tick.C:
		case <-s.enough:
		case <-s.closed:
			return nil
		case <-ctx.Done():
			return nil
		}
		s.disk.space.refill()
		s.keepSnapshots(ctx, &clock)
	}
}

// enter makes Close wait for the caller, unless the store is closed.
func (s *Store) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return false
	default:
		s.owned.Add(1)
		return true
	}
}

// keepSnapshots takes a snapshot when one is due. One that fails is tried again
// after its pause; those there are stay.
func (s *Store) keepSnapshots(ctx context.Context, clock *snapshotClock) {
	start := time.Now()
	changes := s.unsaved.Load()
	if !clock.due(start, changes) {
		return
	}
	if err := s.snapshot(ctx, start); err == nil {
		s.unsaved.Add(-changes)
		clock.none = false
	} else if ctx.Err() == nil {
		s.options.Logger.Error("take a snapshot", "err", err)
	}
	clock.last = time.Now()
	clock.took = clock.last.Sub(start)
}

func (s *Store) snapshot(ctx context.Context, now time.Time) error {
	if err := s.disk.roomForSnapshot(); err != nil {
		return err
	}
	c, err := s.contents()
	if err != nil {
		return err
	}
	return takeSnapshot(ctx, s.disk.snapshots(), c, now)
}

// roomForSnapshot keeps a snapshot from taking the space that updates need.
func (d *disk) roomForSnapshot() error {
	info, err := os.Stat(d.database())
	if err != nil {
		return err
	}
	free, err := d.space.free()
	if err != nil {
		return err
	}
	if need := info.Size() + 2*d.space.floor; free < need {
		return detail(ErrNoSpace, "%d bytes are free, a snapshot needs %d", free, need)
	}
	return nil
}

// Recovery says what Open, now or at an earlier start, found damaged, and what
// may be missing; nil: nothing, or it was acknowledged.
func (s *Store) Recovery() *Recovery {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.recovery
}

// AcknowledgeRecovery forgets the report; what was set aside stays where it is.
// Once it returns, the report does not come back, also not after a power cut.
func (s *Store) AcknowledgeRecovery() error {
	if s.Recovery() == nil {
		return nil
	}
	if err := os.Remove(s.disk.report()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("acknowledge the recovery: %w", err)
	}
	if err := sqlite.SyncDir(filepath.Dir(s.disk.report())); err != nil {
		return fmt.Errorf("acknowledge the recovery: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recovery = nil
	return nil
}
