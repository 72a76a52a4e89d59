package client

import (
	"context"
	"errors"
	"net"
)

// maxSocketPath is what fits into a socket address on every system we run on.
const maxSocketPath = 103

var errSocketPath = errors.New("the path is too long for a unix socket; use a data folder with a shorter path")

// dialSocket connects to a unix socket, also below a folder whose path is longer than a socket address holds.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	if len(path) > maxSocketPath {
		return dialLongSocket(ctx, path)
	}
	var nd net.Dialer
	return nd.DialContext(ctx, "unix", path)
}
