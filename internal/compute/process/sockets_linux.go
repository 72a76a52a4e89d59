package process

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/droverhq/drover/internal/compute"
)

// listener is one listening TCP socket of this machine.
type listener struct {
	port  int
	rank  int // how closely it matches 127.0.0.1: 3 exactly, 2 any IPv4, 1 any IPv6, 0 not at all
	inode string
}

// listeners reads the kernel's table of listening sockets.
func listeners() ([]listener, error) {
	var list []listener
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6 here
		}
		if err != nil {
			return nil, fmt.Errorf("list the listening sockets: %w", err)
		}
		list = append(list, parseListeners(string(text))...)
	}
	return list, nil
}

// parseListeners reads lines like
// "0: 0100007F:4E20 00000000:0000 0A … uid timeout inode …": local address,
// remote address and state, of which 0A is LISTEN.
func parseListeners(text string) []listener {
	var list []listener
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != "0A" {
			continue
		}
		addr, hexPort, _ := strings.Cut(f[1], ":")
		port, err := strconv.ParseUint(hexPort, 16, 16)
		if err != nil {
			continue
		}
		list = append(list, listener{port: int(port), rank: loopbackRank(addr), inode: f[9]})
	}
	return list
}

// loopbackRank says how closely a local address of the table matches 127.0.0.1.
// Each 32-bit word is printed in the machine's byte order; the patterns looked
// for are told apart in either.
func loopbackRank(addr string) int {
	b, err := hex.DecodeString(addr)
	if err != nil {
		return 0
	}
	mapped := len(b) == 16 && strings.Trim(addr[:16], "0") == "" && strings.EqualFold(strings.Trim(addr[16:24], "0"), "ffff")
	if mapped {
		b, addr = b[12:], addr[24:]
	}
	switch {
	case strings.Trim(addr, "0") == "":
		if len(b) == 4 {
			return 2
		}
		return 1
	case len(b) == 4 && (addr == "0100007F" || addr == "7F000001"):
		return 3
	}
	return 0
}

// PortInUse implements compute.Driver.
func (d *Driver) PortInUse(port int) (bool, error) {
	list, err := listeners()
	for _, l := range list {
		if l.port == port {
			return true, nil
		}
	}
	return false, err
}

// owner says whose the sockets are that answer on 127.0.0.1:port: those that
// match the address closest. One that is not the tree's makes the answer Other.
func owner(port int, members []proc) (compute.Ownership, error) {
	list, err := listeners()
	if err != nil {
		return compute.OwnerUnknown, err
	}
	best := 1
	for _, l := range list {
		if l.port == port {
			best = max(best, l.rank)
		}
	}
	answering := map[string]bool{}
	for _, l := range list {
		if l.port == port && l.rank == best {
			answering[l.inode] = true
		}
	}
	if len(answering) == 0 {
		return compute.OwnerNobody, nil
	}
	readable := strike(answering, members)
	switch {
	case len(answering) == 0:
		return compute.OwnerSelf, nil
	case !readable:
		return compute.OwnerUnknown, nil
	}
	return compute.OwnerOther, nil
}

// strike removes the sockets that a member holds open. It reports whether every
// member's descriptors could be read.
func strike(sockets map[string]bool, members []proc) (readable bool) {
	readable = true
	for _, p := range members {
		dir := filepath.Join("/proc", strconv.Itoa(p.pid), "fd")
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrPermission) {
			readable = false
		}
		for _, e := range entries {
			target, err := os.Readlink(filepath.Join(dir, e.Name()))
			if inode, ok := strings.CutPrefix(target, "socket:["); err == nil && ok {
				delete(sockets, strings.TrimSuffix(inode, "]"))
			}
		}
	}
	return readable
}
