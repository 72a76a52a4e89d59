package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// space refuses work before the disk is full, and keeps a reserve: a file whose
// blocks are given back when what must be written (see Essential) no longer fits.
type space struct {
	path  string // of the reserve
	dir   string
	size  int64 // of the reserve
	floor int64 // below this much free space the disk counts as full
	log   *slog.Logger

	mu    sync.Mutex
	whole bool // the reserve is there in full
}

const maxReserve = 64 << 20

// limits derive from the size of the file system how much is reserved, and how
// little may be free.
func limits(total int64) (reserve, floor int64) {
	reserve = min(maxReserve, total/16)
	return reserve, reserve / 4
}

// openSpace makes the reserve if there is room for it.
func openSpace(dir, path string, log *slog.Logger) (*space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, fmt.Errorf("ask for the size of the file system of %s: %w", dir, err)
	}
	s := &space{path: path, dir: dir, log: log}
	s.size, s.floor = limits(int64(st.Blocks) * int64(st.Bsize))
	s.whole = s.allocated()
	s.refill()
	return s, nil
}

// allocated reports whether the reserve has all its blocks; a sparse file reserves nothing.
func (s *space) allocated() bool {
	var st unix.Stat_t
	return unix.Stat(s.path, &st) == nil && st.Size >= s.size && st.Blocks*512 >= s.size
}

func (s *space) free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// low reports whether the disk counts as full.
func (s *space) low() bool {
	free, err := s.free()
	return err == nil && free < s.floor
}

// verdict is what to do with the updates of one commit.
type verdict struct {
	refuse  bool // those that are not essential
	release bool // the reserve
}

func judge(free, floor int64, whole, essential bool) verdict {
	low := free < floor
	return verdict{refuse: low || !whole, release: low && whole && essential}
}

// admit says whether ordinary updates are refused, and gives the reserve back
// when essential ones need it.
func (s *space) admit(essential bool) error {
	free, err := s.free()
	if err != nil {
		return fmt.Errorf("ask for the free space: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := judge(free, s.floor, s.whole, essential)
	if v.release {
		s.release()
	}
	if !v.refuse {
		return nil
	}
	return detail(ErrNoSpace, "%d bytes are free and the reserve of %d is whole: %t", free, s.size, s.whole)
}

// give releases the reserve and reports whether there was one to give.
func (s *space) give() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole && s.release()
}

func (s *space) release() bool {
	s.whole = false
	err := os.Remove(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("release the disk reserve", "path", s.path, "err", err)
		return false
	}
	s.log.Warn("the disk is full: the reserve was released, ordinary work is refused until it is whole again", "path", s.path, "bytes", s.size)
	return true
}

// refill makes the reserve again once there is room for it and some to spare.
func (s *space) refill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.whole {
		return
	}
	free, err := s.free()
	if err != nil || free < s.size+2*s.floor {
		return
	}
	if err := reserve(s.path, s.size); err != nil {
		s.log.Warn("make the disk reserve", "path", s.path, "bytes", s.size, "err", errors.Join(err, os.Remove(s.path)))
		return
	}
	s.whole = true
}

// reserve makes a file of that size with all its blocks. The content stays
// unsynced: what matters is that the blocks are taken.
func reserve(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := allocate(f, size); err == nil || errors.Is(err, unix.ENOSPC) {
		return err
	}
	block := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(block)) {
		if _, err := f.WriteAt(block[:min(int64(len(block)), size-at)], at); err != nil {
			return err
		}
	}
	return f.Sync() // a file system that allocates late must say now that it cannot
}
