package client

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

// target is where the server is: a socket on this machine or a URL.
type target struct {
	socket string   // path of a unix socket, or empty
	base   *url.URL // of the API; its host is a fixed word for a socket
	local  bool     // the socket of the data folder: the admin token may go there
}

func (t target) String() string {
	if t.socket != "" {
		return t.socket
	}
	return t.base.String()
}

// parseTarget reads --server; without one it is the socket of the data folder.
// secure says that HOST:PORT means TLS also on this machine.
func parseTarget(server, data string, secure bool) (target, error) {
	if server == "" {
		data, err := filepath.Abs(data)
		if err != nil {
			return target{}, fmt.Errorf("find the data folder %s: %w", data, err)
		}
		t := socketTarget(filepath.Join(data, "run", "api.sock"))
		t.local = true
		return t, nil
	}
	if path, ok := strings.CutPrefix(server, "unix://"); ok {
		if !filepath.IsAbs(path) {
			return target{}, fmt.Errorf("server %q: a socket is written unix:///PATH", server)
		}
		return socketTarget(path), nil
	}
	return parseURL(server, secure)
}

func socketTarget(path string) target {
	return target{socket: path, base: &url.URL{Scheme: "http", Host: "drover"}}
}

func parseURL(server string, secure bool) (target, error) {
	full := server
	if !strings.Contains(server, "://") {
		full = "https://" + server
		if u, err := url.Parse(full); err == nil && loopback(u.Hostname()) && !secure {
			full = "http://" + server // a server on this machine has no TLS unless told
		}
	}
	u, err := url.Parse(full)
	switch {
	case err != nil:
		return target{}, fmt.Errorf("server %q is not a URL", server) // url.Error would repeat a password
	case u.Scheme != "https" && u.Scheme != "http":
		return target{}, fmt.Errorf("server %q: want https://HOST:PORT, http://HOST:PORT or unix:///PATH", u.Redacted())
	case u.Hostname() == "":
		return target{}, fmt.Errorf("server %q names no host", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return target{}, fmt.Errorf("server %q: give the token with --token-file or DROVER_TOKEN, not in the URL", u.Redacted())
	case u.Path != "" && u.Path != "/":
		return target{}, fmt.Errorf("server %q: want no path after HOST:PORT", server)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return target{}, fmt.Errorf("server %q is not on this machine: use https://, or the token would travel in clear text", server)
	}
	u.Path = ""
	return target{base: u}, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// hostPort is the address to dial for a URL target.
func (t target) hostPort() string {
	if t.base.Port() != "" {
		return t.base.Host
	}
	port := "80"
	if t.base.Scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(t.base.Hostname(), port)
}
