package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/droverhq/drover/internal/identity"
)

// tlsConfig is nil for an API that only this machine reaches and that was given no certificate.
func (a *App) tlsConfig() (*tls.Config, error) {
	if a.o.TLSCert != "" {
		c, err := identity.CertificateFiles(a.o.TLSCert, a.o.TLSKey, a.log)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert and --tls-key: %w", err)
		}
		return c, nil
	}
	if identity.Loopback(a.o.Listen) {
		return nil, nil
	}
	hosts, err := identity.ServerHosts(a.o.Listen)
	if err != nil {
		return nil, fmt.Errorf("find this machine's names: %w", err)
	}
	authority, err := identity.LoadOrCreateAuthority(a.keys, hosts, a.log)
	if err != nil {
		return nil, fmt.Errorf("the certificate authority: %w", err)
	}
	path := filepath.Join(a.o.Data, caFile)
	if err := os.WriteFile(path, authority.PEM(), 0o644); err != nil {
		return nil, fmt.Errorf("write the authority's certificate: %w", err)
	}
	a.log.Info("the API uses a certificate of its own authority", "ca", path, "pin", authority.Pin())
	return authority.Config(), nil
}

// caFile is what clients on other machines are given to check the server by. It
// is written anew at each start from the key, so a torn one does no harm.
const caFile = "ca.pem"

// reachable is an address that clients can use: of a listener on all addresses,
// this machine's name, which the server's own certificate holds.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return address
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "localhost"
	}
	return net.JoinHostPort(name, port)
}

// listenUnix opens the socket for clients of the same user. A socket file that an
// earlier process left is in the way; the store's lock says that nobody uses it.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old API socket: %w", err)
	}
	l, err := listenShort(path)
	if err != nil {
		return nil, fmt.Errorf("listen on the API socket %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("close the API socket to others: %w", err)
	}
	return l, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
