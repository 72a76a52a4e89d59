package store

import (
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store/sqlite"
	"golang.org/x/sys/unix"
)

func openTest(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func write(t *testing.T, s *Store, name string, size int) error {
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		_, err := tx.Put(resource.Document{Meta: resource.Meta{Kind: "A", Name: name}, Spec: fmt.Appendf(nil, "%q", strings.Repeat("x", size))})
		return err
	})
	return err
}

// TestDiskError: commits fail with an I/O error, as on a disk that goes away (here:
// a file may not grow any more). Each is answered with an error and leaves
// nothing behind; when the disk is back the store goes on by itself.
func TestDiskError(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	if err := write(t, s, "before", 10); err != nil {
		t.Fatal(err)
	}
	revision := s.Revision()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 64 << 10, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	var failures []error
	for i := range 5 {
		failures = append(failures, write(t, s, fmt.Sprint("failed", i), 200_000))
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	for i, err := range failures {
		if !errors.Is(err, ErrDisk) || errors.Is(err, ErrNoSpace) || !resource.IsCode(err, resource.CodeUnavailable) {
			t.Errorf("write %d on a broken disk: %v", i, err)
		}
	}
	if s.Revision() != revision {
		t.Errorf("after failed writes it is at revision %d, not %d", s.Revision(), revision)
	}
	if err := write(t, s, "after", 200_000); err != nil {
		t.Errorf("with the disk back: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir)
	list, err := s.List(t.Context(), "A", ListOptions{})
	if err != nil || len(list.Items) != 2 || s.Recovery() != nil {
		t.Errorf("after a restart %d documents are there, not 2, and %v: %v", len(list.Items), s.Recovery(), err)
	}
}

// TestFoundWritten: a commit that reported an error, but is found in the
// database, is what readers see.
func TestFoundWritten(t *testing.T) {
	s := openTest(t, t.TempDir())
	if err := s.Close(); err != nil { // ends the writer: the test takes its place
		t.Fatal(err)
	}
	d, c, err := openDisk(t.Context(), s.options.Dir, s.options.Logger)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	contents := func() (sqlite.Contents, error) { return c, nil }
	b := sqlite.Batch{Head: sqlite.Head{Revision: 7, Sequence: d.head.Sequence + 1}}
	if written, err := d.reset(b.Head, contents); written || err != nil {
		t.Errorf("before the commit: written %t, %v", written, err)
	}
	if err := d.file.Commit(b); err != nil {
		t.Fatal(err)
	}
	if written, err := d.reset(b.Head, contents); !written || err != nil || d.head != b.Head {
		t.Errorf("after the commit: written %t, at %+v, %v", written, d.head, err)
	}
	if written, err := d.commit(sqlite.Batch{Head: sqlite.Head{Revision: 8}}, false, contents); !written || err != nil {
		t.Errorf("the next commit: written %t, %v", written, err)
	}
}
