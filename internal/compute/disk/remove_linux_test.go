package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What cannot be deleted is named, the rest goes, and a later Sweep finishes it.
func TestRemoveReportsImmutableFiles(t *testing.T) {
	g := newGround(t, Limits{})
	dir := filepath.Join(g.dir, "instances", "set", "set_1")
	fill(t, filepath.Join(dir, "data", "deep"), 3)
	file := filepath.Join(dir, "data", "deep", "1")
	if err := setImmutable(file, true); errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) {
		return // only root can, and not on every file system
	} else if err != nil {
		t.Fatal(err)
	}
	err := g.Remove(t.Context(), dir)
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "/1: ") {
		t.Errorf("got %v", err)
	}
	if err := g.Sweep(t.Context(), time.Now()); !errors.Is(err, unix.EPERM) {
		t.Errorf("the next sweep: %v", err)
	}
	var left []string
	must(t, filepath.WalkDir(g.trashDir(), func(name string, e os.DirEntry, err error) error {
		if !e.IsDir() {
			left = append(left, name)
		}
		return err
	}))
	if len(left) != 1 {
		t.Fatalf("left: %q", left)
	}
	must(t, setImmutable(left[0], false))
	must(t, g.Sweep(t.Context(), time.Now()))
	if left := list(t, g.trashDir()); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func setImmutable(name string, on bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetUint32(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	const immutable = 0x10
	flags &^= immutable
	if on {
		flags |= immutable
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, int(flags))
}
