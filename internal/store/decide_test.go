package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/store/sqlite"
)

func TestLimits(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct{ total, reserve, floor int64 }{
		{16 * mib, mib, mib / 4},
		{1024 * mib, 64 * mib, 16 * mib},
		{1 << 42, 64 * mib, 16 * mib},
		{0, 0, 0},
	} {
		if reserve, floor := limits(test.total); reserve != test.reserve || floor != test.floor {
			t.Errorf("of %d bytes %d are reserved and %d the floor, not %d and %d", test.total, reserve, floor, test.reserve, test.floor)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, test := range []struct {
		name             string
		free             int64
		whole, essential bool
		want             verdict
	}{
		{"room", 10, true, true, verdict{}},
		{"no room", 9, true, false, verdict{refuse: true}},
		{"no room for what must be", 9, true, true, verdict{refuse: true, release: true}},
		{"the reserve is used", 9, false, true, verdict{refuse: true}},
		{"room, but the reserve comes first", 1000, false, false, verdict{refuse: true}},
	} {
		if got := judge(test.free, 10, test.whole, test.essential); got != test.want {
			t.Errorf("%s: %+v, not %+v", test.name, got, test.want)
		}
	}
}

func TestSnapshotDue(t *testing.T) {
	clock := snapshotClock{every: 1000, interval: 5 * time.Minute, last: time.Unix(0, 0), took: 2 * time.Second}
	for _, test := range []struct {
		name    string
		after   time.Duration
		changes int64
		want    bool
	}{
		{"nothing changed", time.Hour, 0, false},
		{"one change, long ago", 5 * time.Minute, 1, true},
		{"one change, too early", 5*time.Minute - 1, 1, false},
		{"many changes", 20 * time.Second, 1000, true},
		{"not quite as many", 20 * time.Second, 999, false},
		{"many changes, but the last snapshot was slow", 20*time.Second - 1, 100_000, false},
	} {
		if got := clock.due(time.Unix(0, 0).Add(test.after), test.changes); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
	if clock.none = true; !clock.due(time.Unix(0, 0).Add(2*firstSnapshot), 1) {
		t.Error("the first snapshot comes late")
	}
}

func TestTakeSnapshot(t *testing.T) {
	dir := t.TempDir()
	for _, left := range []string{".tmp", ".tmp-journal"} {
		if err := os.WriteFile(filepath.Join(dir, snapshotName(9, time.Now())+left), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for revision := range int64(5) {
		if err := takeSnapshot(t.Context(), dir, sqlite.Contents{Head: sqlite.Head{Revision: revision}}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	list, err := listSnapshots(dir)
	if err != nil || len(list) != snapshotsKept || list[0].revision != 4 || list[2].revision != 2 {
		t.Errorf("kept are %+v: %v", list, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != snapshotsKept {
		t.Errorf("%d files are left: %v", len(files), err)
	}
}

func FuzzParseSnapshot(f *testing.F) {
	f.Add(snapshotName(0, time.Unix(0, 0)))
	f.Add(snapshotName(1<<62, time.Unix(1<<35, 0)) + ".tmp")
	f.Add("documents--0000000000000000001-20260101T000000Z.db")
	f.Fuzz(func(t *testing.T, name string) {
		s, ok := parseSnapshot(filepath.Join("dir", name))
		if ok && (snapshotName(s.revision, s.at) != filepath.Base(s.path) || s.revision < 0) {
			t.Errorf("%q was read as the snapshot of revision %d at %s", name, s.revision, s.at)
		}
	})
}
