package client

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os/user"
	"path/filepath"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// dialer connects to the target. A server that is not there yet is tried again
// for as long as patience lasts: nothing was sent, so any request may wait.
type dialer struct {
	target   target
	patience time.Duration
	waiting  func() // told when the first second was in vain
}

// noticed is how long a person waits without asking why.
const noticed = time.Second

// dial connects to the target whatever address the HTTP library derived from the URL.
func (d dialer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if d.target.socket != "" {
		return d.retry(ctx, func(ctx context.Context) (net.Conn, error) { return dialSocket(ctx, d.target.socket) })
	}
	return d.dialTold(ctx, "tcp", d.target.hostPort())
}

// dialTold connects to the address given: the server's, or a proxy's on the way to it.
func (d dialer) dialTold(ctx context.Context, network, address string) (net.Conn, error) {
	return d.retry(ctx, func(ctx context.Context) (net.Conn, error) {
		var nd net.Dialer
		return nd.DialContext(ctx, network, address)
	})
}

func (d dialer) retry(ctx context.Context, connect func(context.Context) (net.Conn, error)) (net.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	begun := time.Now()
	var last error
	for wait := 25 * time.Millisecond; ; wait = min(2*wait, 250*time.Millisecond) {
		conn, err := connect(bounded)
		if err == nil {
			return conn, nil
		}
		if last == nil || bounded.Err() == nil {
			last = err // the deadline's own error would hide the reason
		}
		if final(err) {
			return nil, d.unreachable(last)
		}
		if time.Since(begun) > noticed {
			d.waiting()
		}
		select {
		case <-time.After(wait):
		case <-bounded.Done():
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, d.unreachable(last)
		}
	}
}

// final says that trying again cannot help.
func final(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsNotFound
	}
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errSocketPath)
}

// unreachable says what was tried and what to do about it.
func (d dialer) unreachable(err error) error {
	reason := err
	if op, ok := errors.AsType[*net.OpError](err); ok {
		reason = op.Err // without the address, which the message has already
	}
	switch {
	case d.target.socket != "" && errors.Is(err, fs.ErrPermission):
		return resource.Errorf(resource.CodeUnavailable,
			"the socket %s may not be used by %s: it belongs to the user that runs the server; become that user, or give --server and a token",
			d.target.socket, userName())
	case d.target.local:
		return resource.Errorf(resource.CodeUnavailable,
			"no server is running: tried the socket %s for %s (%v); start one with `drover up --data %s`, or name another with --data or --server",
			d.target.socket, d.patience, reason, filepath.Dir(filepath.Dir(d.target.socket)))
	}
	return resource.Errorf(resource.CodeUnavailable,
		"no server answers at %s: tried for %s (%v); start it there with `drover up`, or check --server and DROVER_SERVER", d.target, d.patience, reason)
}

func userName() string {
	u, err := user.Current()
	if err != nil {
		return "this user"
	}
	return u.Username
}
