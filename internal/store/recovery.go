package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/store/sqlite"
)

// Recovery is what was found damaged when the store was opened, and what came of
// it. It is kept in <Dir>/recovery.json, over restarts, until it is acknowledged.
type Recovery struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	// SetAside are the files that were moved away, where they are now.
	SetAside []string `json:"setAside,omitempty"`
	// Snapshot is served in place of the database; empty: the database itself, or,
	// when that was set aside, nothing could be: the store began empty.
	Snapshot         string    `json:"snapshot,omitempty"`
	SnapshotRevision int64     `json:"snapshotRevision,omitempty"`
	SnapshotTime     time.Time `json:"snapshotTime,omitzero"`
	// Rows are single documents and bookings that were set aside; they are in the table "damaged".
	Rows []string `json:"rows,omitempty"`
	// MissingAfter and LastKnown bound what may be missing: writes above the first
	// revision, of which the second is the last that there is a trace of.
	MissingAfter int64 `json:"missingAfter"`
	LastKnown    int64 `json:"lastKnown"`
	// Revision is where revisions went on: above all that can have been given out.
	Revision int64 `json:"revision"`
}

func (r *Recovery) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the store was repaired at %s: %s", r.At.Format(time.RFC3339), r.Reason)
	if len(r.SetAside) > 0 {
		fmt.Fprintf(&b, "; set aside: %s", strings.Join(r.SetAside, ", "))
	}
	switch {
	case r.Snapshot != "":
		fmt.Fprintf(&b, "; served: the snapshot of %s at revision %d", r.SnapshotTime.Format(time.RFC3339), r.SnapshotRevision)
	case r.MissingAfter == 0:
		b.WriteString("; no snapshot could be read: the store began empty")
	}
	if len(r.Rows) > 0 {
		fmt.Fprintf(&b, "; rows set aside: %s", strings.Join(r.Rows, ", "))
	}
	if r.LastKnown > r.MissingAfter {
		fmt.Fprintf(&b, "; what was written after revision %d, up to %d or later, may be missing", r.MissingAfter, r.LastKnown)
	}
	return b.String()
}

// readRecovery returns the report that nobody has acknowledged yet, or nil. One
// that cannot be read still says that there was something to report.
func readRecovery(path string) (*Recovery, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the report of an earlier recovery: %w", err)
	}
	r := &Recovery{}
	if err := json.Unmarshal(text, r); err != nil {
		return &Recovery{Reason: fmt.Sprintf("an earlier recovery's report in %s cannot be read: %v", path, err)}, nil
	}
	return r, nil
}

func writeRecovery(path string, r *Recovery) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := sqlite.WriteFile(path, append(text, '\n')); err != nil {
		return fmt.Errorf("write the report of the recovery: %w", err)
	}
	return nil
}

// moveAside moves the files of a database into dir, under one name and with their
// suffixes, and returns where those that were there are now. The WAL goes first:
// it must never be left beside a new database, which it would be applied to.
func moveAside(path, dir string, at time.Time) ([]string, error) {
	if err := sqlite.MakeDir(dir); err != nil {
		return nil, err
	}
	name := asideName(path, at)
	var moved []string
	for _, suffix := range []string{"-wal", "-shm", "-journal", ""} {
		to := filepath.Join(dir, name+suffix)
		err := os.Rename(path+suffix, to)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return moved, err
		}
		moved = append(moved, to)
	}
	return moved, errors.Join(sqlite.SyncDir(dir), sqlite.SyncDir(filepath.Dir(path)))
}

func asideName(path string, at time.Time) string {
	return strings.TrimSuffix(filepath.Base(path), ".db") + "-" + at.UTC().Format("20060102T150405.000000000Z") + ".db"
}

// keepLog copies the WAL into dir, for whoever wants to look: a database that
// goes on being used will write over it.
func keepLog(path, dir string, at time.Time) ([]string, error) {
	log, err := os.ReadFile(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(log) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	to := filepath.Join(dir, asideName(path, at)+"-wal")
	if err := sqlite.MakeDir(dir); err != nil {
		return nil, err
	}
	return []string{to}, sqlite.WriteFile(to, log)
}
