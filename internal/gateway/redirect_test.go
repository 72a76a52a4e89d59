package gateway

import (
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// The second socket of a balancer comes and goes with the field, and a change of
// the rest leaves it alone.
func TestASocketThatRedirects(t *testing.T) {
	s := newTestState(t)
	socket, file := socketFile(t, "one")
	from, fromFile := socketFile(t, "from")
	b := over("hello", "one")
	b.Spec.TLS = &resource.LoadBalancerTLS{RedirectFrom: from.Address}
	b.Redirect = "from"
	give := func(generation int64, b wire.Balancer, sockets []wire.Socket, fresh []wire.Socket, files ...*os.File) {
		t.Helper()
		w := wire.Snapshot{Generation: generation, Sockets: sockets, Balancers: []wire.Balancer{b}}
		if done, err := s.apply(wire.Apply{Snapshot: w, New: fresh}, files); err != nil || len(done.Errors) > 0 {
			t.Fatalf("%v, %v", done, err)
		}
	}
	both := []wire.Socket{socket, from}
	give(1, b, both, both, file, fromFile)
	asked := func() (location string, err error) {
		c := &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		resp, err := c.Get("http://" + from.Address + "/a")
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		return resp.Header.Get("Location"), nil
	}
	want := "https://127.0.0.1" + portOfHTTPS(socket.Address) + "/a"
	if got, err := asked(); err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	first := s.balancers["front"].redirect
	b.Spec.Limits.MaxConnections = 7
	give(2, b, both, nil)
	if s.balancers["front"].redirect != first {
		t.Error("a change of something else replaced it")
	}
	b.Redirect, b.Spec.TLS = "", nil
	give(3, b, []wire.Socket{socket}, nil)
	if _, err := asked(); err == nil {
		t.Error("it is held without a use")
	}
	l, err := net.Listen("tcp", from.Address)
	if err != nil {
		t.Fatalf("its address is not free: %v", err)
	}
	l.Close()
}
