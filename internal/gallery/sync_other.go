//go:build !linux

package gallery

import "golang.org/x/sys/unix"

// syncAll writes everything to disk.
func syncAll(string) error { return unix.Sync() }
