package app

import (
	"net"
	"net/http"
	"os"
	"testing"
)

func TestReachable(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"127.0.0.1:7400": "127.0.0.1:7400", "[::1]:7400": "[::1]:7400", "10.0.0.1:80": "10.0.0.1:80",
		"0.0.0.0:7400": name + ":7400", "[::]:7400": name + ":7400",
	} {
		if got := reachable(address); got != want {
			t.Errorf("%s is reached at %s, want %s", address, got, want)
		}
	}
}

// Who says localhost is answered by the API at either loopback address, and
// the port is nobody else's at either.
func TestTheAPIHasItsPortAtBothLoopbackAddresses(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		if a := started(t, dataFolder(t)); a.twin != nil {
			t.Error("there is a twin on a machine without ::1")
		}
		return
	}
	must(t, l.Close())
	a := started(t, dataFolder(t))
	for _, address := range []string{a.listener.Addr().String(), a.twin.Addr().String()} {
		answer, err := http.Get("http://" + address + "/healthz")
		must(t, err)
		must(t, answer.Body.Close())
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d", address, answer.StatusCode)
		}
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			t.Errorf("%s can be taken", address)
		}
	}
	if twinOf("10.0.0.1:7400") != "" || twinOf("[::1]:7400") != "127.0.0.1:7400" {
		t.Error("a twin of an address that has none, or none")
	}
}
