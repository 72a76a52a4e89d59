package storetest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// scene is a folder as a crash leaves it: snapshots, and a log with writes that
// are in none of them.
type scene struct {
	files map[string][]byte
	last  int64 // acknowledged revision
}

const (
	generations = 4   // that a snapshot is taken after; the last three are kept
	perScene    = 300 // documents; one write each in every generation
)

// stage writes a few hundred documents over and over, with a snapshot after each
// time, and copies the folder while the store is still open.
func (s suite) stage(t *testing.T) scene {
	dir := t.TempDir()
	sc := scene{files: map[string][]byte{}}
	synctest.Test(t, func(t *testing.T) {
		st := s.start(t, dir)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = st.Run(ctx) }() // it returns nil when ctx ends
		for generation := range generations {
			fillScene(t, st, generation)
			time.Sleep(time.Hour) // of fake time: the interval of snapshots passes
			synctest.Wait()
		}
		fillScene(t, st, generations)
		sc.last = st.Revision()
		if got := served(t, st); !maps.Equal(got, stateAt(sc.last)) {
			t.Errorf("before any damage %d things are served, %d of them right", len(got), same(got, stateAt(sc.last)))
		}
		sc.copyFrom(t, dir)
	})
	return sc
}

func fillScene(t *testing.T, st *store.Store, generation int) {
	for i := range perScene {
		if _, err := st.Update(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Put(document(resource.KindInstance, sceneName(i), "s", sceneValue(generation, i))); err != nil {
				return err
			}
			return tx.BookExact("port", sceneName(i), 1000+i)
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func sceneName(i int) string { return fmt.Sprintf("i%03d", i) }

func sceneValue(generation, i int) string { return fmt.Sprint(generation, strings.Repeat("x", i)) }

// stateAt is what the scene's store served when it was at that revision.
func stateAt(revision int64) map[string]string {
	out := map[string]string{}
	for r := range int(revision) {
		generation, i := r/perScene, r%perScene
		out[sceneName(i)] = string(object("value", sceneValue(generation, i)))
		out[fmt.Sprint("port ", 1000+i)] = sceneName(i)
	}
	return out
}

// served is what the store has: documents and bookings.
func served(t testing.TB, st *store.Store) map[string]string {
	list, err := st.List(t.Context(), resource.KindInstance, store.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, d := range list.Items {
		out[d.Name] = string(d.Spec)
	}
	if _, err := st.Update(t.Context(), func(tx *store.Tx) error {
		booked, err := tx.Booked("port")
		for n, holder := range booked {
			out[fmt.Sprint("port ", n)] = holder
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func (sc scene) copyFrom(t *testing.T, dir string) {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "reserve" || e.Name() == "lock" {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		sc.files[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(sc.snapshots()); n != 3 || len(sc.files["documents.db-wal"]) == 0 {
		t.Fatalf("the scene has %d snapshots and a log of %d bytes", n, len(sc.files["documents.db-wal"]))
	}
}

// snapshots are the names of the snapshots, the newest first.
func (sc scene) snapshots() []string {
	var out []string
	for name := range sc.files {
		if filepath.Dir(name) == "snapshots" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out
}

// forget removes the snapshots.
func (sc scene) forget(files map[string][]byte) {
	for _, name := range sc.snapshots() {
		delete(files, name)
	}
}

// set puts the scene's files, changed by hurt, into a folder.
func (sc scene) set(t testing.TB, dir string, hurt func(files map[string][]byte)) {
	files := maps.Clone(sc.files)
	for name := range files {
		files[name] = slices.Clone(files[name])
	}
	hurt(files)
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// damaged: whatever part of the files is hurt, the store opens, serves the newest
// state that can be trusted, says what happened, and goes on above all revisions.
func (s suite) damaged(t *testing.T) {
	sc := s.stage(t)
	snaps := sc.snapshots()
	const db, wal = "documents.db", "documents.db-wal"
	noise := []byte(strings.Repeat("garbage!", 512))
	for _, test := range []struct {
		name string
		hurt func(f map[string][]byte)
		want outcome
	}{
		{"nothing", func(f map[string][]byte) {}, outcome{healthy: true}},
		{"no witness", func(f map[string][]byte) { delete(f, "witness") }, outcome{healthy: true, jump: true}},
		{"garbage witness", func(f map[string][]byte) { f["witness"] = noise }, outcome{healthy: true, jump: true}},
		{"half a snapshot", func(f map[string][]byte) { f[snaps[0]+".tmp"] = noise }, outcome{healthy: true}},
		{"garbage snapshot, good database", func(f map[string][]byte) { f[snaps[0]] = noise }, outcome{healthy: true}},
		{"empty database", func(f map[string][]byte) { f[db] = nil }, outcome{snapshot: 1}},
		{"no database", func(f map[string][]byte) { delete(f, db) }, outcome{snapshot: 1}},
		{"no database, no log", func(f map[string][]byte) { delete(f, db); delete(f, wal) }, outcome{snapshot: 1}},
		{"all garbage", func(f map[string][]byte) { f[db], f[wal] = noise, noise }, outcome{snapshot: 1}},
		{"garbage header", func(f map[string][]byte) { copy(f[db], noise[:100]); delete(f, wal) }, outcome{snapshot: 1}},
		{"another program's database", func(f map[string][]byte) { f[db], f[wal] = otherDatabase(t), nil }, outcome{snapshot: 1}},
		{"truncated database", func(f map[string][]byte) { f[db] = f[db][:len(f[db])/2]; delete(f, wal) }, outcome{snapshot: 1}},
		{"a page of zeros", func(f map[string][]byte) { clear(f[db][5*4096 : 6*4096]); delete(f, wal) }, outcome{snapshot: 1}},
		{"log cut short", func(f map[string][]byte) { f[wal] = f[wal][:3*4120]; sc.forget(f) }, outcome{logLost: true}},
		{"log gone", func(f map[string][]byte) { delete(f, wal); sc.forget(f) }, outcome{logLost: true}},
		{"log damaged", func(f map[string][]byte) { copy(f[wal][100:], noise); sc.forget(f) }, outcome{logLost: true}},
		{"old database", func(f map[string][]byte) { f[db] = f[snaps[2]]; delete(f, wal) }, outcome{snapshot: 1}},
		{"newest snapshot hurt", func(f map[string][]byte) { f[db], f[wal], f[snaps[0]] = noise, nil, noise }, outcome{snapshot: 2}},
		{"two snapshots hurt", func(f map[string][]byte) {
			f[db], f[wal], f[snaps[0]] = noise, nil, nil
			f[snaps[1]] = f[snaps[1]][:len(f[snaps[1]])/2]
		}, outcome{snapshot: 3}},
		{"all snapshots hurt", func(f map[string][]byte) {
			f[db], f[wal], f[snaps[0]], f[snaps[1]], f[snaps[2]] = noise, nil, nil, noise, nil
		}, outcome{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			sc.set(t, dir, test.hurt)
			s.verifyDamaged(t, sc, dir, test.want)
		})
	}
}

// outcome is what should come of a damaged scene.
type outcome struct {
	healthy  bool // there is nothing to report
	jump     bool // but revisions go on higher up, to be safe
	logLost  bool // the database is served, without the end of its log
	snapshot int  // which is served, 1 being the newest; 0: none
}

func (s suite) verifyDamaged(t *testing.T, sc scene, dir string, want outcome) {
	t.Helper()
	st := s.start(t, dir)
	r := st.Recovery()
	if want.healthy {
		if got := served(t, st); !maps.Equal(got, stateAt(sc.last)) || r != nil || (st.Revision() > sc.last) != want.jump || st.Revision() < sc.last {
			t.Errorf("at revision %d of %d it serves %d things and reports %v", st.Revision(), sc.last, len(got), r)
		}
		return
	}
	if r == nil {
		t.Fatal("it does not report the damage")
	}
	t.Log(r)
	state := stateAt(r.MissingAfter)
	if got := served(t, st); !maps.Equal(got, state) {
		t.Errorf("it serves %d things, %d of them as at revision %d", len(got), same(got, state), r.MissingAfter)
	}
	if want.logLost && (r.MissingAfter < perScene || len(r.SetAside) > 1) {
		t.Errorf("more than the end of the log was lost")
	}
	sc.verifyReport(t, dir, st, want.snapshot)
	s.verifyStays(t, dir, st, state)
}

func same(a, b map[string]string) (n int) {
	for k, v := range a {
		if b[k] == v {
			n++
		}
	}
	return n
}

// verifyReport: the report names the snapshot that is served, and files that are there.
func (sc scene) verifyReport(t *testing.T, dir string, st *store.Store, snapshot int) {
	t.Helper()
	r := st.Recovery()
	if st.Revision() <= sc.last || r.Revision != st.Revision() {
		t.Errorf("revisions go on from %d, reported %d; the last one given out was %d", st.Revision(), r.Revision, sc.last)
	}
	want := ""
	if snapshot > 0 {
		want = filepath.Join(dir, sc.snapshots()[snapshot-1])
	}
	if r.Snapshot != want {
		t.Errorf("it reports to serve %q, not %q", r.Snapshot, want)
	}
	for _, path := range r.SetAside {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := st.Watch(t.Context(), sc.last, store.Filter{}); !errors.Is(err, store.ErrTooOld) {
		t.Errorf("a watch from before the damage: %v", err)
	}
}

// verifyStays: after another restart it is the same store, which writes, and
// which still reports until that is acknowledged.
func (s suite) verifyStays(t *testing.T, dir string, st *store.Store, want map[string]string) {
	t.Helper()
	mustPut(t, st, document("After", "a", "", ""))
	revision := st.Revision()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	st = s.start(t, dir)
	if got := served(t, st); !maps.Equal(got, want) || st.Revision() != revision {
		t.Errorf("after another restart it is at revision %d, not %d, and serves %d things, %d of them right", st.Revision(), revision, len(got), same(got, want))
	}
	if st.Recovery() == nil {
		t.Error("the report is gone though nobody acknowledged it")
	}
	if err := st.AcknowledgeRecovery(); err != nil || st.Recovery() != nil {
		t.Errorf("acknowledged: %v", err)
	}
	if err := st.AcknowledgeRecovery(); err != nil {
		t.Errorf("acknowledged again: %v", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if r := s.start(t, dir).Recovery(); r != nil {
		t.Errorf("acknowledged, it is reported again: %s", r)
	}
}
