package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// bootID changes with every boot.
func bootID() string {
	id, _ := unix.Sysctl("kern.bootsessionuuid")
	return id
}

func exchange(a, b string) error { return unix.RenamexNp(a, b, unix.RENAME_SWAP) }

// cloneFile: APFS clones by name only, which would follow what lies there.
func cloneFile(dst, src *os.File) error { return errors.ErrUnsupported }
