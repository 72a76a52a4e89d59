package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

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

// listenTwin opens the API's port also at the other loopback address: who asks for
// localhost may be sent to either, and must not be answered by a workload there.
func (a *App) listenTwin(ctx context.Context) {
	address := twinOf(a.listener.Addr().String())
	if address == "" {
		return
	}
	l, err := a.gateway.Listener(ctx, "api-twin", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		a.log.Warn("another program has the API's port at the other loopback address, and answers who asks for localhost", "address", address)
	case err != nil: // this machine has only one of the two
		a.log.Debug("the API has one loopback address", "error", err)
	default:
		a.twin = l
		a.stopping.push("API's twin listener", func(context.Context) error { return ignoreClosed(l.Close()) })
	}
}

// twinOf is the same port at the other loopback address, or nothing.
func twinOf(address string) string {
	switch host, port, _ := net.SplitHostPort(address); host {
	case "127.0.0.1":
		return net.JoinHostPort("::1", port)
	case "::1":
		return net.JoinHostPort("127.0.0.1", port)
	}
	return ""
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
