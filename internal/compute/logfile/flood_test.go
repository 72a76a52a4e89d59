package logfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var cutters = map[string]func(*os.File, int64) error{"collapse": collapse, "truncate": noCollapse}

// A workload that writes more while a piece is copied than the piece has neither
// keeps the others' logs waiting nor is given the whole disk.
func TestFlood(t *testing.T) {
	for name, cut := range cutters {
		t.Run(name, func(t *testing.T) {
			flood, other := t.TempDir(), t.TempDir()
			o := Options{MaxBytes: 64 << 10, Keep: 3, Dirs: func() ([]string, error) { return []string{flood, other}, nil }}
			k := New(o)
			k.collapse = cut
			write(t, flood, lines(0, 10_000))
			write(t, other, lines(0, 5_000))
			next := 10_000
			k.step = func(step string) error {
				if step == "copy" && next < 2_000_000 {
					write(t, flood, lines(next, next+5_000)) // twice as much as is copied
					next += 5_000
				}
				return nil
			}
			for range 10 {
				k.rotateAll(t.Context())
				most := 2*int64(o.Keep+3)*o.MaxBytes*2 + int64(o.Keep)*o.MaxBytes // a round's pieces, doubled, and what is kept
				if size := int64(len(kept(t, flood))); size > most {
					t.Fatalf("%d bytes are kept, more than %d", size, most)
				}
			}
			if size, err := size(filepath.Join(other, fileName)); err != nil || size > o.MaxBytes {
				t.Errorf("the other log has %d bytes, %v", size, err)
			}
			if got := tail(t, k, flood, 1); got != lines(next-1, next) {
				t.Errorf("the last line is %q", got)
			}
		})
	}
}

// A crash before every single step of cutting off what nobody will read: what is
// kept is the end of what was written, and as much as always.
func TestCrashWhileDropping(t *testing.T) {
	for name, cut := range cutters {
		t.Run(name, func(t *testing.T) {
			for crash := 0; ; crash++ {
				if !crashWhileDropping(t, crash, cut) {
					t.Logf("%d steps", crash)
					return
				}
			}
		})
	}
}

func crashWhileDropping(t *testing.T, n int, cut func(*os.File, int64) error) (crashed bool) {
	dir := t.TempDir()
	o := Options{Dirs: one(dir), MaxBytes: 32 << 10, Keep: 2}
	k := New(o)
	k.collapse = cut
	write(t, dir, lines(0, 3_000))
	k.rotateAll(t.Context()) // there are numbered files
	write(t, dir, lines(3_000, 12_000))
	at := ""
	k.step = func(step string) error {
		if n--; n < 0 {
			crashed, at = true, step
			return errCrash
		}
		return nil
	}
	if _, err := k.rotate(t.Context(), dir); crashed != errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	write(t, dir, lines(12_000, 12_001)) // the workload goes on
	written := lines(0, 12_001)
	for _, next := range []*Keeper{k, New(o)} { // the same Drover, and another
		next.step, next.collapse = nil, cut
		read := tail(t, next, dir, -1)
		if !strings.HasSuffix(written, read) || !strings.HasPrefix(read, "line ") || len(read) < o.Keep*int(o.MaxBytes)-100 {
			t.Fatalf("crash before %q, read %d bytes: %.60q", at, len(read), read)
		}
		next.rotateAll(t.Context())
		if files := kept(t, dir); !strings.HasSuffix(written, files) || len(files) < o.Keep*int(o.MaxBytes) {
			t.Fatalf("crash before %q, %d bytes are kept: %.60q", at, len(files), files)
		}
	}
	return crashed
}

// On a disk without a single free block what nobody will read goes all the same.
func TestDropOnAFullDisk(t *testing.T) {
	for name, cut := range cutters {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			k := New(Options{Dirs: one(dir), MaxBytes: 32 << 10, Keep: 2})
			k.collapse = cut
			write(t, dir, lines(0, 3_000))
			k.rotateAll(t.Context())
			write(t, dir, lines(3_000, 12_000))
			freed := false
			k.step = func(step string) error {
				freed = freed || strings.HasPrefix(step, "drop")
				if step == "rest" || step == "journal" && !freed {
					return syscall.ENOSPC
				}
				return nil
			}
			_, err := k.rotate(t.Context(), dir)
			must(t, err)
			write(t, dir, lines(12_000, 12_002)) // the first may be taken for the end of one that went
			if got := tail(t, k, dir, 1); got != lines(12_001, 12_002) {
				t.Errorf("the last line is %q", got)
			}
			if size := len(kept(t, dir)); size > 4*32<<10 {
				t.Errorf("%d bytes are kept", size)
			}
		})
	}
}
