package store_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
	_ "modernc.org/sqlite" // to hurt single rows
)

// TestDamagedWhileOpen: a database that is overwritten while it is in use is made
// again from memory; nothing is lost, and nobody is told that it was.
func TestDamagedWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	const documents = 2000
	if _, err := s.Update(t.Context(), func(tx *store.Tx) error {
		for i := range documents {
			if _, err := tx.Put(big(i, 0)); err != nil {
				return err
			}
		}
		return tx.BookExact("port", "holder", 7)
	}); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "documents.db"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // the log still covers what it holds
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(make([]byte, info.Size()-100), 100); err != nil {
			t.Fatal(err)
		}
		for i := range documents / 4 {
			if _, err := s.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Put(big(i*4, 1))
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if aside, err := filepath.Glob(filepath.Join(dir, "damaged", "*")); err != nil || len(aside) == 0 {
		t.Errorf("no damaged database was set aside: %v", err)
	}
	revision := s.Revision()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir)
	if s.Revision() != revision || s.Recovery() != nil {
		t.Errorf("after a restart it is at revision %d, not %d, and reports %v", s.Revision(), revision, s.Recovery())
	}
	for i := range documents {
		want := big(i, 0)
		if i%4 == 0 {
			want = big(i, 1)
		}
		if d, err := s.Get(t.Context(), "A", want.Name); err != nil || string(d.Spec) != string(want.Spec) {
			t.Fatalf("%s is %.20s: %v", want.Name, d.Spec, err)
		}
	}
}

func big(i, version int) resource.Document {
	return resource.Document{
		Meta: resource.Meta{Kind: "A", Name: fmt.Sprintf("d%05d", i)},
		Spec: fmt.Appendf(nil, `"%d %s"`, version, strings.Repeat("x", 3000)),
	}
}

// TestDamagedRows: a row with a wrong checksum is set aside alone; the rest stays.
func TestDamagedRows(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	for i := range 3 {
		if _, err := s.Update(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Put(big(i, 0)); err != nil {
				return err
			}
			return tx.BookExact("port", fmt.Sprint("holder", i), i)
		}); err != nil {
			t.Fatal(err)
		}
	}
	last := s.Revision()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	hurt(t, dir, `UPDATE documents SET body = replace(body, 'x', 'y') WHERE name = 'd00001'`, `UPDATE bookings SET holder = 'thief' WHERE number = 2`)
	for restart := range 2 {
		s = start(t, dir)
		r := s.Recovery()
		if r == nil || len(r.Rows) != 2 || !strings.Contains(r.String(), "A d00001") || !strings.Contains(r.String(), "number 2 of port") || s.Revision() <= last {
			t.Errorf("start %d at revision %d reports %v", restart, s.Revision(), r)
		}
		list, err := s.List(t.Context(), "A", store.ListOptions{})
		if err != nil || len(list.Items) != 2 {
			t.Errorf("start %d: %d documents are served, not 2: %v", restart, len(list.Items), err)
		}
		if _, err := s.Update(t.Context(), func(tx *store.Tx) error {
			booked, err := tx.Booked("port")
			if len(booked) != 2 {
				t.Errorf("start %d: booked are %v", restart, booked)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	hurt(t, dir, `DELETE FROM documents WHERE name = 'd00002'`)
	s = start(t, dir)
	if r := s.Recovery(); r == nil || !strings.Contains(r.Reason, "missing or old") {
		t.Errorf("of a row that is missing it reports %v", r)
	}
}

func hurt(t *testing.T, dir string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "documents.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if result, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		} else if n, err := result.RowsAffected(); n != 1 || err != nil {
			t.Fatalf("%s: %d rows, %v", statement, n, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNotAFile: what cannot be set aside without harm is a clear error.
func TestNotAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "documents.db")
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("with a folder in place of the database: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	start(t, dir)
}

// TestNewer: a database of a newer version is left as it is.
func TestNewer(t *testing.T) {
	dir := t.TempDir()
	if err := start(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	hurt(t, dir, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (1000, 1)`)
	if _, err := open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("opened: %v", err)
	}
}
