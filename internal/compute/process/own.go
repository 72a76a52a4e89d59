package process

import (
	"os"
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
