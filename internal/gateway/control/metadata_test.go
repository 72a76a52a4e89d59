package control_test

import (
	"iter"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/gateway/control"
)

// ports are given to be tried.
func ports(list ...int) iter.Seq[int] { return slices.Values(list) }

func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// The endpoint's port is the one that a gateway holds, else the first free one, and
// nobody else gets it while no control process runs.
func TestMetadataPortIsKept(t *testing.T) {
	s := newSite(t)
	s.stopControl()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	want := portOf(t, free.Addr().String())
	free.Close()
	begin := func(list ...int) (port int) {
		s.startControlWith(func(c *control.Control) (net.Listener, error) {
			port, err = c.ServeMetadata(t.Context(), control.MetadataOptions{Ports: ports(list...), Rate: 50})
			return nil, err
		})
		s.applied(s.set("hello"))
		return port
	}
	if got := begin(portOf(t, taken.Addr().String()), want); got != want {
		t.Fatalf("port %d instead of the free %d", got, want)
	}
	s.stopControl()
	if l, err := net.Listen("tcp", free.Addr().String()); err == nil {
		l.Close()
		t.Error("the port was free while the control process was away")
	}
	if got := begin(1, 2, 3); got != want {
		t.Errorf("the next control process has port %d instead of %d", got, want)
	}
	s.stopControl()

	c := control.New(control.Options{DataDir: t.TempDir()})
	_, err = c.ServeMetadata(t.Context(), control.MetadataOptions{Ports: ports(portOf(t, taken.Addr().String()))})
	if err == nil || !strings.Contains(err.Error(), "metadata endpoint") {
		t.Errorf("with no port left: %v", err)
	}
}
