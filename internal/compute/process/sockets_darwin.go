package process

import (
	"net"
	"strconv"

	"github.com/droverhq/drover/internal/compute"
)

// PortInUse implements compute.Driver: what can't be bound is in use.
func (d *Driver) PortInUse(port int) (bool, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return true, nil
	}
	return false, l.Close()
}

// owner: macOS tells a process nothing of other processes' sockets.
func owner(int, []proc) (compute.Ownership, error) { return compute.OwnerUnknown, nil }
