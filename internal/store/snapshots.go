package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/store/sqlite"
)

// snapshotsKept is how many verified snapshots there are to fall back on.
const snapshotsKept = 3

// snapshot is a verified copy of the database at one revision.
type snapshot struct {
	path     string
	revision int64
	at       time.Time
}

const snapshotTime = "20060102T150405Z"

func snapshotName(revision int64, at time.Time) string {
	return fmt.Sprintf("documents-%020d-%s.db", revision, at.UTC().Format(snapshotTime))
}

func parseSnapshot(path string) (snapshot, bool) {
	s := snapshot{path: path}
	var at string
	if _, err := fmt.Sscanf(filepath.Base(path), "documents-%020d-%s", &s.revision, &at); err != nil {
		return s, false
	}
	var err error
	s.at, err = time.Parse(snapshotTime+".db", at)
	return s, err == nil && s.revision >= 0 && filepath.Base(path) == snapshotName(s.revision, s.at)
}

// listSnapshots returns the snapshots in dir, the newest first. Other files,
// such as one that a crash left half made, are none.
func listSnapshots(dir string) ([]snapshot, error) {
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the snapshots: %w", err)
	}
	var list []snapshot
	for _, f := range files {
		if s, ok := parseSnapshot(filepath.Join(dir, f.Name())); ok {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b snapshot) int { return strings.Compare(b.path, a.path) })
	return list, nil
}

// takeSnapshot makes a verified snapshot and removes all but the last few. The
// old ones go only when the new one is there for good.
func takeSnapshot(ctx context.Context, dir string, c sqlite.Contents, now time.Time) error {
	if err := sqlite.MakeDir(dir); err != nil {
		return err
	}
	if err := removeHalfMade(dir); err != nil {
		return err
	}
	c.Head.Copied = true
	if err := sqlite.Create(ctx, filepath.Join(dir, snapshotName(c.Head.Revision, now)), c); err != nil {
		return err
	}
	list, err := listSnapshots(dir)
	if err != nil {
		return err
	}
	for _, old := range list[min(len(list), snapshotsKept):] {
		if err := os.Remove(old.path); err != nil {
			return err
		}
	}
	return nil
}

// removeHalfMade removes what a crash left of a snapshot, whose name no later one has.
func removeHalfMade(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "*.db.tmp*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// snapshotClock decides when the next snapshot is due.
type snapshotClock struct {
	every    int64
	interval time.Duration

	none bool          // there is none yet
	last time.Time     // when the last one was done, or when this clock began
	took time.Duration // and how long that took
}

// firstSnapshot is how soon there is something to fall back on at all.
const firstSnapshot = 10 * time.Second

// maxSnapshotShare bounds what snapshots cost: after each there is a pause of
// so many times its duration, however many changes come meanwhile.
const maxSnapshotShare = 10

func (c snapshotClock) due(now time.Time, changes int64) bool {
	since := now.Sub(c.last)
	if changes == 0 || since < maxSnapshotShare*c.took {
		return false
	}
	return changes >= c.every || since >= c.interval || c.none && since >= firstSnapshot
}
