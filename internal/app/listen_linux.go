package app

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// listenShort listens through the folder's descriptor: a socket's path may have
// 107 bytes at most, a data folder's may be longer.
func listenShort(path string) (net.Listener, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)))
	if err != nil {
		return nil, err
	}
	// The name is gone with the descriptor; the next start removes the file.
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l, nil
}
