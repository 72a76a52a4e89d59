package logfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options of a Keeper; only Dirs is required.
type Options struct {
	// Dirs lists the log folders of all instances; it is called at every Interval.
	Dirs     func() ([]string, error)
	MaxBytes int64         // 10 MiB
	Keep     int           // rotated files that are kept: 5
	Interval time.Duration // 1s
	Logger   *slog.Logger
}

// Keeper rotates and reads the logs of all instances.
type Keeper struct {
	o Options
	// For tests: see rotation.
	step     func(string) error
	collapse func(*os.File, int64) error

	mu   sync.Mutex
	logs map[string]*log // guarded by mu
}

func New(o Options) *Keeper {
	if o.MaxBytes == 0 {
		o.MaxBytes = 10 << 20
	}
	if o.Keep == 0 {
		o.Keep = 5
	}
	if o.Interval == 0 {
		o.Interval = time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{o: o, collapse: collapse, logs: map[string]*log{}}
}

// Run rotates until ctx is done. The first look comes at once: logs have grown while no Drover ran.
func (k *Keeper) Run(ctx context.Context) error {
	for {
		wait := k.o.Interval
		if k.rotateAll(ctx) {
			wait /= 20
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// rotateAll looks at every log. It reports whether one is flooded and wants to be
// looked at again soon.
func (k *Keeper) rotateAll(ctx context.Context) (soon bool) {
	dirs, err := k.o.Dirs()
	if err != nil {
		k.o.Logger.Error("cannot list the logs to rotate", "error", err)
		return false
	}
	for _, dir := range dirs {
		flooded, err := k.rotate(ctx, dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
			k.o.Logger.Error("cannot rotate a log; it is tried again", "log", dir, "error", err)
		}
		soon = soon || flooded
	}
	return soon
}

// rotate brings one log below its limit, piece by piece: as many as it may have
// now. What a workload writes meanwhile is for the next round, as other logs wait.
// While it is flooded, what there is too much of is dropped and nothing is copied.
func (k *Keeper) rotate(ctx context.Context, dir string) (flooded bool, err error) {
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil || info.Size() <= k.o.MaxBytes {
		return false, err
	}
	l := k.log(dir)
	for range k.o.Keep + 3 { // a drop, Keep+1 whole pieces, and one for rounding to blocks
		moved, err := l.rotateOnce(k)
		if moved == 0 || err != nil || ctx.Err() != nil {
			return false, err
		}
		if moved > int64(k.o.Keep)*k.o.MaxBytes {
			return true, nil
		}
	}
	return false, nil
}

// Forget drops what is remembered of a log whose folder has been removed.
func (k *Keeper) Forget(dir string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.logs, dir)
}

func (k *Keeper) log(dir string) *log {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.logs[dir]
	if l == nil {
		l = &log{dir: dir}
		k.logs[dir] = l
	}
	return l
}

// log is one instance's log. Readers hold mu to read, rotation to write, so a
// position always means the same byte while it is looked up.
type log struct {
	dir string

	mu      sync.RWMutex
	whole   bool   // no rotation was left half done
	midLine bool   // the oldest file begins in mid-line
	base    int64  // position of output.log's first byte
	life    string // what positions count from; see journal
}

func (l *log) rotateOnce(k *Keeper) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, err := l.ready(k)
	if err != nil {
		return 0, err
	}
	// Until it returns well, what is on disk is for recover to sort out.
	l.whole = false
	moved, err := r.rotate()
	if err != nil {
		return 0, fmt.Errorf("log %s: %w", l.dir, err)
	}
	l.took(r.j)
	return moved, nil
}

// ready finishes an interrupted rotation first. mu must be held for writing.
func (l *log) ready(k *Keeper) (*rotation, error) {
	r := &rotation{dir: l.dir, maxBytes: k.o.MaxBytes, keep: k.o.Keep, step: k.step, collapse: k.collapse}
	if l.whole {
		err := r.load()
		r.j.Base, r.j.Life = l.base, l.life // also when the journal was damaged meanwhile: cursors stand by these
		return r, err
	}
	if err := r.recover(); err != nil {
		return nil, fmt.Errorf("log %s: %w", l.dir, err)
	}
	l.took(r.j)
	return r, nil
}

// took remembers what the journal of a log without a half rotation says.
func (l *log) took(j journal) {
	l.whole, l.midLine, l.base, l.life = true, j.MidLine, j.Base, j.Life
}
