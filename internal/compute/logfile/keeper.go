package logfile

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"
)

// Open opens the log in dir for a workload's stdout and stderr, making it when needed.
func Open(dir string) (*os.File, error) { return nil, errors.ErrUnsupported }

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
type Keeper struct{ o Options }

func New(o Options) *Keeper { return &Keeper{o: o} }

// Run rotates until ctx is done.
func (k *Keeper) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Tail writes the last n whole lines of the log in dir to w; n < 0: all.
func (k *Keeper) Tail(ctx context.Context, dir string, n int, w io.Writer) error {
	return errors.ErrUnsupported
}

// Follow is Tail and then every line as it is written, across rotations, until
// ctx is done or the folder is gone.
func (k *Keeper) Follow(ctx context.Context, dir string, n int, w io.Writer) error {
	return errors.ErrUnsupported
}

// Forget drops what is remembered of a folder that has been removed.
func (k *Keeper) Forget(dir string) {}
