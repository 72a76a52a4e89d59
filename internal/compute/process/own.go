package process

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/droverhq/drover/internal/resource"
)

// defaultPIDs is the limit on an instance's processes and threads unless the set has its own.
const defaultPIDs = 4096

// limitsFor is what the set asks for, with the limit that always is.
func limitsFor(r *resource.Resources) resource.Resources {
	var limits resource.Resources
	if r != nil {
		limits = *r
	}
	if limits.PIDs == nil {
		n := defaultPIDs
		limits.PIDs = &n
	}
	return limits
}

// ownerOf is the user that a file belongs to; 0 when there is none.
func ownerOf(path string) int {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return int(st.Uid)
}

// isDataOf reports whether a folder is the data folder of an instance that runs
// as this user. No workload can make one to hide behind: it lies in a folder of
// root's that nobody else can write, and no link leads there.
func isDataOf(folder string, uid int) bool {
	real, err := filepath.EvalSymlinks(folder)
	if err != nil || real != folder || filepath.Base(folder) != dataFolder || ownerOf(folder) != uid {
		return false
	}
	parent := filepath.Dir(folder)
	info, err := os.Lstat(parent)
	return err == nil && info.Mode().Perm()&0o022 == 0 && ownerOf(parent) == 0
}
