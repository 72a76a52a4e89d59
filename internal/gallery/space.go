package gallery

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/internal/resource"
)

var errNoSpace = resource.Errorf(resource.CodeInsufficientStorage, "no disk space left for images: nothing was accepted")

// space keeps a part of the file system free of images, more than the store needs
// to go on: a push is never what stops documents from being written.
type space struct {
	dir   string
	floor int64
}

const maxFloor = 64 << 20

func newSpace(dir string) (space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return space{}, fmt.Errorf("ask for the size of the file system of %s: %w", dir, err)
	}
	return space{dir, min(maxFloor, int64(st.Blocks)*int64(st.Bsize)/16)}, nil
}

// admit refuses what would not leave the floor free.
func (s space) admit(bytes int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", s.dir, err)
	}
	if int64(st.Bavail)*int64(st.Bsize)-bytes < s.floor {
		return errNoSpace
	}
	return nil
}
