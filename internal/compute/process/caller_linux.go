package process

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Caller names the instance whose process has the other end of a connection of this
// machine: the socket's user leads to the instance, and a process of its tree must
// hold the socket. Empty: none has, or it has closed it by now.
func (d *Driver) Caller(remote net.Addr) (string, error) {
	at, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return "", fmt.Errorf("read the caller's address: %w", err)
	}
	uid, inode, err := ownSocket(netip.AddrPortFrom(at.Addr().Unmap(), at.Port()))
	if err != nil || uid == 0 {
		return "", err
	}
	names, err := d.list()
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(names, func(name string) bool { return ownerOf(d.disk(name)) == uid })
	if i < 0 {
		return "", nil
	}
	rec, err := readRecord(d.dir(names[i]))
	if err != nil || rec == nil {
		return "", err
	}
	members, err := d.tree(names[i], rec, uid).members()
	if err != nil {
		return "", err
	}
	held := map[string]bool{inode: true}
	if strike(held, members); len(held) > 0 {
		return "", nil
	}
	return names[i], nil
}

// ownSocket finds the connected socket that is bound to an address of this machine.
func ownSocket(at netip.AddrPort) (uid int, inode string, err error) {
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, "", fmt.Errorf("list the sockets: %w", err)
		}
		if uid, inode, ok := findSocket(text, at); ok {
			return uid, inode, nil
		}
	}
	return 0, "", nil
}

// findSocket looks for a line whose local address is at; see parseListeners.
func findSocket(text []byte, at netip.AddrPort) (uid int, inode string, found bool) {
	const listening = "0A"
	port := []byte(fmt.Sprintf(":%04X ", at.Port()))
	for line := range bytes.Lines(text) {
		if !bytes.Contains(line, port) {
			continue
		}
		f := strings.Fields(string(line))
		if len(f) < 10 || f[3] == listening {
			continue
		}
		if local, ok := parseEnd(f[1]); !ok || local != at {
			continue
		}
		// One that nobody holds any more (TIME_WAIT) has no inode.
		if uid, err := strconv.Atoi(f[7]); err == nil && f[9] != "0" {
			return uid, f[9], true
		}
	}
	return 0, "", false
}

// parseEnd reads "0100007F:4E20": 32-bit words in the machine's order, here little-endian.
func parseEnd(text string) (netip.AddrPort, bool) {
	addr, hexPort, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(addr)
	port, err2 := strconv.ParseUint(hexPort, 16, 16)
	if err != nil || err2 != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i+4 <= len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	ip, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), ok
}
