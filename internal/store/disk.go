package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/droverhq/drover/internal/store/sqlite"
)

// disk is the store's folder: the database and what keeps it from being lost. It
// is opened by Open and then used by the writer alone, but for the space.
type disk struct {
	dir      string
	log      *slog.Logger
	lock     *os.File
	space    *space
	witness  *witness
	seen     sqlite.Head  // by the witness, when it was opened
	blind    bool         // the witness could not tell
	file     *sqlite.File // nil: it could not be opened again after a failure
	head     sqlite.Head  // of the file
	recovery *Recovery
}

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }
func (d *disk) database() string        { return d.path("documents.db") }
func (d *disk) snapshots() string       { return d.path("snapshots") }
func (d *disk) damaged() string         { return d.path("damaged") }
func (d *disk) report() string          { return d.path("recovery.json") }

// openDisk opens the folder, repairs what can be repaired, and returns what it holds.
func openDisk(ctx context.Context, dir string, log *slog.Logger) (_ *disk, c sqlite.Contents, err error) {
	d := &disk{dir: dir, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := d.prepare(); err != nil {
		return nil, c, err
	}
	c, err = d.open(ctx)
	if d.full(err) && d.space.give() { // whatever was done so far can be done again
		c, err = d.open(ctx)
	}
	if err != nil {
		return nil, c, err
	}
	d.head = c.Head
	return d, c, d.witness.sync(c.Head)
}

// prepare takes the folder and opens all but the database.
func (d *disk) prepare() (err error) {
	if err := sqlite.MakeDir(d.dir); err != nil {
		return err
	}
	if d.lock, err = lock(d.dir); err != nil {
		return err
	}
	if d.space, err = openSpace(d.dir, d.path("reserve"), d.log); err != nil {
		return err
	}
	var seen *sqlite.Head
	if d.witness, seen, err = openWitness(d.path("witness")); err != nil {
		return err
	}
	if d.blind = seen == nil; !d.blind {
		d.seen = *seen
	}
	d.recovery, err = readRecovery(d.report())
	return err
}

// open opens the database, or puts another in its place.
func (d *disk) open(ctx context.Context) (sqlite.Contents, error) {
	if err := d.closeFile(); err != nil { // of an attempt before
		return sqlite.Contents{}, err
	}
	c, err := d.load(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist) && d.isNew():
		return d.install(ctx, sqlite.Contents{})
	case errors.Is(err, fs.ErrNotExist):
		return d.fallBack(ctx, "the database file is missing")
	case sqlite.IsDamaged(err):
		return d.fallBack(ctx, err.Error())
	case err != nil:
		return c, err
	}
	return d.examine(ctx, c)
}

func (d *disk) load(ctx context.Context) (sqlite.Contents, error) {
	info, err := os.Stat(d.database())
	if err != nil {
		return sqlite.Contents{}, err
	}
	if !info.Mode().IsRegular() {
		return sqlite.Contents{}, fmt.Errorf("%s is not a plain file (%s): move it away", d.database(), info.Mode())
	}
	file, err := d.openFile(ctx)
	if err != nil {
		return sqlite.Contents{}, err
	}
	c, err := file.Load(ctx)
	if err != nil {
		return c, errors.Join(err, file.Close())
	}
	d.file = file
	return c, nil
}

// openFile lets the log grow to 4 MiB, or to what a small reserve can hold several times.
func (d *disk) openFile(ctx context.Context) (*sqlite.File, error) {
	return sqlite.Open(ctx, d.database(), min(4<<20, d.space.size/4))
}

// isNew reports whether there never was a database here: no trace of one is left.
func (d *disk) isNew() bool {
	for _, trace := range []string{d.database() + "-wal", d.snapshots(), d.damaged()} {
		if _, err := os.Stat(trace); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return d.blind || d.seen == sqlite.Head{}
}

// install makes c the database.
func (d *disk) install(ctx context.Context, c sqlite.Contents) (sqlite.Contents, error) {
	if err := sqlite.Create(ctx, d.database(), c); err != nil {
		return c, err
	}
	return d.load(ctx)
}

// saved is the revision of the newest snapshot.
func (d *disk) saved() int64 {
	if list, err := listSnapshots(d.snapshots()); err == nil && len(list) > 0 {
		return list[0].revision
	}
	return 0
}

func (d *disk) hasSnapshot() bool {
	list, err := listSnapshots(d.snapshots())
	return err == nil && len(list) > 0
}

// full reports whether err means that there is no space left. A disk that fills
// up under fsync is an I/O error to SQLite.
func (d *disk) full(err error) bool {
	return sqlite.IsFull(err) || sqlite.IsIO(err) && d.space.low()
}

func (d *disk) closeFile() error {
	if d.file == nil {
		return nil
	}
	file := d.file
	d.file = nil
	return file.Close()
}

func (d *disk) close() error {
	errs := []error{d.closeFile()}
	if d.witness != nil {
		errs = append(errs, d.witness.close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}
