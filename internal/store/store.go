package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/store/sqlite"
)

// Options say where a store lives. Only Dir is required.
type Options struct {
	Dir              string
	Logger           *slog.Logger
	RingSize         int           // changes that watches can go back by; 16384
	SnapshotEvery    int           // changes; 1000
	SnapshotInterval time.Duration // 5 minutes
}

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.RingSize = cmp.Or(o.RingSize, 16384) // more than the largest scale set at once
	o.SnapshotEvery = cmp.Or(o.SnapshotEvery, 1000)
	o.SnapshotInterval = cmp.Or(o.SnapshotInterval, 5*time.Minute)
	return o
}

// Store is documents with revisions. All methods may be called at the same time.
type Store struct {
	options  Options
	requests chan *request
	closed   chan struct{} // closed by Close
	close    func() error
	owned    sync.WaitGroup // the writer and Run

	// The writer's own:

	disk       *disk
	lastBooked map[string]int // by pool

	unsaved atomic.Int64  // changes that are in no snapshot
	enough  chan struct{} // holds a signal: unsaved has reached SnapshotEvery

	mu       sync.RWMutex // guards what is below; the writer alone changes memory, so it reads it without
	memory   *memory
	feed     *feed
	recovery *Recovery
}

// Open opens the store in o.Dir, making it if there is none, and starts its
// writer. What is damaged is set aside; Recovery then says so.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	d, contents, err := openDisk(ctx, o.Dir, o.Logger)
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", o.Dir, err)
	}
	m, err := decode(contents)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store in %s: %w", o.Dir, err), d.close())
	}
	s := &Store{
		options: o, requests: make(chan *request), closed: make(chan struct{}), enough: make(chan struct{}, 1),
		disk: d, lastBooked: map[string]int{}, memory: m, feed: newFeed(o.RingSize, m.revision), recovery: d.recovery,
	}
	s.unsaved.Store(m.revision - d.saved())
	s.close = sync.OnceValue(s.stop)
	s.owned.Go(s.write)
	return s, nil
}

// Close ends Run, and the writer after the commit that it is at, and waits for
// both. Updates that wait, and watches, end with ErrClosed.
func (s *Store) Close() error { return s.close() }

func (s *Store) stop() error {
	s.mu.Lock()
	close(s.closed)
	s.mu.Unlock()
	s.owned.Wait()
	return s.disk.close()
}

// Revision is that of the last committed write.
func (s *Store) Revision() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.memory.revision
}

// CheckSpace returns ErrNoSpace while ordinary work is refused for lack of disk
// space, for those who write elsewhere on the same disk.
func (s *Store) CheckSpace() error { return s.disk.space.admit(false) }

// BackupTo writes a consistent and verified copy of the store to a new file. A
// store that is opened on it later goes on above all revisions given out here.
func (s *Store) BackupTo(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("back up to %s: %w", path, os.ErrExist)
	}
	c, err := s.contents()
	if err != nil {
		return err
	}
	c.Head.Copied = true
	if err := sqlite.Create(ctx, path, c); err != nil {
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	return nil
}
