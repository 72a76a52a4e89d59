package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// linkLocalIP is where clouds serve the metadata of their machines.
const linkLocalIP = "169.254.169.254"

var linkLocalAddress = net.JoinHostPort(linkLocalIP, "80")

// linkLocal gives this machine the address and returns where to listen; empty: it
// is not asked for. What an earlier server left behind is removed first.
func (a *App) linkLocal(ctx context.Context) (address string, err error) {
	if !a.o.IMDSLinkLocal {
		return "", dropLinkLocal(a.o.Data)
	}
	if !a.root {
		return "", errors.New("--imds-link-local needs root: an address is added to this machine")
	}
	held, err := a.gateway.Holds(ctx, linkLocalAddress)
	if err != nil {
		return "", err
	}
	if !held {
		if err := dropLinkLocal(a.o.Data); err != nil {
			return "", err
		}
		if err := unanswered(ctx); err != nil {
			return "", fmt.Errorf("--imds-link-local: %w", err)
		}
	}
	// The note comes first: what a crash leaves after it is found by it.
	if err := os.WriteFile(linkLocalNote(a.o.Data), nil, 0o600); err != nil {
		return "", fmt.Errorf("note that %s is added: %w", linkLocalIP, err)
	}
	if err := addLinkLocal(linkLocalLabel(a.o.Data)); err != nil {
		return "", fmt.Errorf("--imds-link-local: add %s to this machine: %w", linkLocalIP, err)
	}
	return linkLocalAddress, nil
}

// dropLinkLocal takes the address away if this data folder's server added it.
func dropLinkLocal(data string) error {
	if _, err := os.Stat(linkLocalNote(data)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := removeLinkLocal(linkLocalLabel(data)); err != nil {
		return fmt.Errorf("remove %s from this machine: %w", linkLocalIP, err)
	}
	return os.Remove(linkLocalNote(data))
}

func linkLocalNote(data string) string { return filepath.Join(data, dirRun, "link-local") }

// linkLocalLabel names the address by the data folder: another server's is let be.
func linkLocalLabel(data string) string {
	sum := sha256.Sum256([]byte(data))
	return fmt.Sprintf("lo:dr%x", sum[:4])
}

// unanswered refuses an address that is somebody's: a cloud's machine has its own
// metadata there, which its programs need.
func unanswered(ctx context.Context) error {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("look at this machine's addresses: %w", err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.String() == linkLocalIP {
			return fmt.Errorf("%s is an address of this machine already", linkLocalIP)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", linkLocalAddress)
	if err != nil {
		return nil
	}
	c.Close()
	return fmt.Errorf("%s answers already: a machine of a cloud has metadata of its own there, which is let be; instances have theirs at IMDS_ENDPOINT", linkLocalIP)
}
