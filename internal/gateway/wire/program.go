package wire

import (
	"fmt"
	"os"
	"syscall"
)

// ProgramAt tells a program's file from any other: a program that runs keeps its
// file from being changed or its number from being given to another one, so that
// nothing has to be read of it. Empty: there is none.
func ProgramAt(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d-%d-%d-%d", s.Dev, s.Ino, info.Size(), info.ModTime().UnixNano())
}
