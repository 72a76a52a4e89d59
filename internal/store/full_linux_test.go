package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
	"github.com/droverhq/drover/internal/testtool"
	"golang.org/x/sys/unix"
)

// mayMount is set in a child that has a mount namespace of its own.
const mayMount = "DROVER_STORE_TEST_MAY_MOUNT"

// small returns a folder on a file system of a few megabytes, or nothing after
// it has run the whole test again in a namespace where that can be mounted.
func small(t *testing.T) (dir string, ok bool) {
	t.Helper()
	if os.Getenv(mayMount) == "" {
		inNamespace(t)
		return "", false
	}
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir, true
}

func inNamespace(t *testing.T) {
	unshare := []string{testtool.Require(t, "unshare"), "--mount"}
	if os.Geteuid() != 0 {
		unshare = append(unshare, "--user", "--map-root-user")
	}
	probe := append(unshare[1:len(unshare):len(unshare)], "mount", "-t", "tmpfs", "none", t.TempDir())
	if out, err := exec.Command(unshare[0], probe...).CombinedOutput(); err != nil {
		t.Logf("a file system cannot be mounted here: %v: %s", err, out)
		testtool.Require(t, "unshare (with the right to mount)")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(unshare[1:], self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd := exec.CommandContext(t.Context(), unshare[0], args...)
	cmd.Env = append(os.Environ(), mayMount+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in a namespace of its own: %v\n%s", err, out)
	}
}

// fillUp leaves no byte free, and returns what frees them again.
func fillUp(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

func put(ctx context.Context, s *store.Store, name string, size int) error {
	_, err := s.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.Put(resource.Document{
			Meta: resource.Meta{Kind: "A", Name: name}, Spec: fmt.Appendf(nil, "%q", strings.Repeat("x", size)),
		})
		return err
	})
	return err
}

func count(t *testing.T, s *store.Store) int {
	t.Helper()
	list, err := s.List(t.Context(), "A", store.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

// TestFullDisk: on a full disk ordinary work is refused before it is accepted,
// what is essential is written from the reserve, and once there is space the
// reserve is whole again and all is as it was.
func TestFullDisk(t *testing.T) {
	dir, ok := small(t)
	if !ok {
		return
	}
	data := filepath.Join(dir, "data")
	synctest.Test(t, func(t *testing.T) {
		s := start(t, data)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = s.Run(ctx) }() // it returns nil when ctx ends
		if err := put(t.Context(), s, "before", 10); err != nil {
			t.Fatal(err)
		}
		free := fillUp(t, dir)
		if err := put(t.Context(), s, "ordinary", 10); !errors.Is(err, store.ErrNoSpace) || resource.CodeOf(err) != resource.CodeInsufficientStorage {
			t.Errorf("ordinary work on a full disk: %v", err)
		}
		for i := range 500 {
			if err := put(store.Essential(t.Context()), s, fmt.Sprint("essential", i%50), 100+i); err != nil {
				t.Fatalf("essential update %d on a full disk: %v", i, err)
			}
		}
		if err := put(t.Context(), s, "ordinary", 10); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("ordinary work while the reserve is used: %v", err)
		}
		if err := s.CheckSpace(); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("the space was judged: %v", err)
		}
		free()
		if err := put(t.Context(), s, "ordinary", 10); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("ordinary work before the reserve is whole again: %v", err)
		}
		time.Sleep(2 * time.Second) // of fake time
		synctest.Wait()
		if err := errors.Join(put(t.Context(), s, "ordinary", 10), s.CheckSpace()); err != nil {
			t.Errorf("ordinary work with space again: %v", err)
		}
		if n := count(t, s); n != 52 {
			t.Errorf("%d documents are there, not 52", n)
		}
	})
	s := start(t, data)
	if n := count(t, s); n != 52 || s.Recovery() != nil {
		t.Errorf("after a restart %d documents are there, not 52, and %v", n, s.Recovery())
	}
}

// TestFullDiskInCommit: the disk fills up in the middle of commits, down to the
// last byte of the reserve. What was acknowledged stays, what was refused is not
// there, the store can be closed and opened meanwhile, and it works again as soon
// as there is space.
func TestFullDiskInCommit(t *testing.T) {
	dir, ok := small(t)
	if !ok {
		return
	}
	data := filepath.Join(dir, "data")
	s := start(t, data)
	free := fillUp(t, dir)
	written := map[string]bool{}
	refused := 0
	for i := 0; refused < 20; i++ {
		name := fmt.Sprint("e", i)
		switch err := put(store.Essential(t.Context()), s, name, 10_000+i%7*20_000); {
		case err == nil:
			written[name] = true
		case errors.Is(err, store.ErrNoSpace):
			refused++
		default:
			t.Fatalf("update %d: %v", i, err)
		}
	}
	check := func(s *store.Store) {
		t.Helper()
		if n := count(t, s); n != len(written) || s.Recovery() != nil {
			t.Errorf("%d documents are there, not %d, and %v", n, len(written), s.Recovery())
		}
		for name := range written {
			if _, err := s.Get(t.Context(), "A", name); err != nil {
				t.Error(err)
			}
		}
	}
	t.Logf("%d updates were written before the disk was full", len(written))
	check(s)
	if err := s.Close(); err != nil {
		t.Errorf("close on a full disk: %v", err)
	}
	s = start(t, data)
	check(s)
	free()
	if err := put(store.Essential(t.Context()), s, "after", 10); err != nil {
		t.Errorf("with space again: %v", err)
	}
	written["after"] = true
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = start(t, data)
	check(s)
	if err := put(t.Context(), s, "ordinary", 10); err != nil {
		t.Errorf("ordinary work after a restart with space again: %v", err)
	}
}

// TestReserveInCommit: a commit for which there seemed to be room, and was not,
// gets the reserve if it is essential, and leaves it alone if it is not.
func TestReserveInCommit(t *testing.T) {
	dir, ok := small(t)
	if !ok {
		return
	}
	data := filepath.Join(dir, "data")
	s := start(t, data)
	free := fillUp(t, dir)
	if err := os.Truncate(filepath.Join(dir, "ballast"), 14<<20); err != nil { // some 900 KiB are free
		t.Fatal(err)
	}
	const large = 1300 << 10
	if err := put(t.Context(), s, "ordinary", large); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("an ordinary update that is larger than the space: %v", err)
	}
	if err := errors.Join(s.CheckSpace(), put(t.Context(), s, "small", 10)); err != nil {
		t.Errorf("it took the reserve: %v", err)
	}
	if err := put(store.Essential(t.Context()), s, "essential", large); err != nil {
		t.Errorf("an essential update that is larger than the space: %v", err)
	}
	if err := s.CheckSpace(); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("it did not take the reserve: %v", err)
	}
	free()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, start(t, data)); n != 2 {
		t.Errorf("%d documents are there, not 2", n)
	}
}

// TestFullDiskDamaged: a database that is damaged while the disk is full is still
// replaced by its snapshot, with the help of the reserve.
func TestFullDiskDamaged(t *testing.T) {
	dir, ok := small(t)
	if !ok {
		return
	}
	data := filepath.Join(dir, "data")
	synctest.Test(t, func(t *testing.T) {
		s := start(t, data)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = s.Run(ctx) }() // it returns nil when ctx ends
		for i := range 20 {
			if err := put(t.Context(), s, fmt.Sprint("a", i), 1000); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Minute) // of fake time: a snapshot is taken
		synctest.Wait()
	})
	free := fillUp(t, dir)
	if err := os.Truncate(filepath.Join(data, "documents.db"), 1000); err != nil {
		t.Fatal(err)
	}
	s := start(t, data)
	if n := count(t, s); n != 20 || s.Recovery() == nil {
		t.Errorf("%d documents are there, not 20, reported as %v", n, s.Recovery())
	}
	free()
}
