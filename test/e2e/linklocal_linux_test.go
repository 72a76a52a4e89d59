package e2e

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/internal/testtool"
)

const linkLocal = "169.254.169.254"

// ownNetwork says that this is the child that has a network of its own.
const ownNetwork = "DROVER_E2E_OWN_NETWORK"

// inOwnNetwork runs the test again in a network namespace, where addresses can be
// added and nothing is reached.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	if os.Getenv(ownNetwork) != "" {
		check(t, loopbackUp())
		return true
	}
	unshare := testtool.Require(t, "unshare")
	self, err := os.Executable()
	check(t, err)
	cmd := exec.CommandContext(t.Context(), unshare, "--net", self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=3m")
	cmd.Env = append(os.Environ(), ownNetwork+"=1", builtBinaries+"="+filepath.Dir(drover))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in a network of its own: %v\n%s", err, out)
	}
	return false
}

func loopbackUp() error {
	return onLoopback(func(fd int, r *unix.Ifreq) error {
		r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
	}, "lo")
}

func onLoopback(do func(fd int, r *unix.Ifreq) error, label string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(label)
	if err != nil {
		return err
	}
	return do(fd, r)
}

// cloud makes the address this machine's own, and then takes it away again.
func cloud(t *testing.T, there bool) {
	t.Helper()
	check(t, onLoopback(func(fd int, r *unix.Ifreq) error {
		if !there {
			r.SetUint16(0)
			return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
		}
		if err := r.SetInet4Addr(net.ParseIP(linkLocal).To4()); err != nil {
			return err
		}
		return unix.IoctlIfreq(fd, unix.SIOCSIFADDR, r)
	}, "lo:cloud"))
}

// hasLinkLocal says whether this machine has the address.
func hasLinkLocal(t *testing.T) bool {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	check(t, err)
	return slices.ContainsFunc(addrs, func(a net.Addr) bool { return strings.HasPrefix(a.String(), linkLocal+"/") })
}

// A program that knows nothing of Drover finds its metadata where Azure has it, each
// its own, and the address is there for as long as it is asked for.
func TestLinkLocalMetadata(t *testing.T) {
	if os.Geteuid() != 0 {
		s := newServer(t, "--imds-link-local")
		out, err := exec.Command(drover, "up", "--listen", "127.0.0.1:0", "--data", s.data, "--imds-link-local").CombinedOutput()
		if err == nil {
			t.Error("it starts without root")
		}
		says(t, string(out), "--imds-link-local needs root")
		return
	}
	if !inOwnNetwork(t) {
		return
	}
	s := newServer(t, "--imds-link-local")
	cloud(t, true)
	out, err := exec.Command(drover, "up", "--listen", "127.0.0.1:0", "--data", s.data, "--imds-link-local").CombinedOutput()
	if err == nil {
		t.Error("it starts over a cloud's own metadata")
	}
	says(t, string(out), linkLocal)
	cloud(t, false)

	s.start()
	c := azure("1.0.0")
	c.AzureEndpoint = "http://" + linkLocal
	s.push("hello:1.0.0", c)
	s.apply(noticed(3, "PT10M").yaml())
	load := s.lightTraffic(s.serving(3))
	s.mustDrover("scale", "hello", "2")
	s.gone(30*time.Second, "hello_2")
	says(t, s.told()["hello_2"], "told", "approved")
	if status, body := metadata(t, http.MethodGet, "http://"+linkLocal, ""); status != http.StatusNotFound {
		t.Errorf("who is no instance is answered with %d %s", status, body)
	}
	s.kill()
	s.start() // takes over
	s.mustDrover("scale", "hello", "1")
	s.gone(30*time.Second, "hello_1")
	load.zeroFailed()
	s.noneRefused()
	s.mustDrover("down")
	if hasLinkLocal(t) {
		t.Error("down leaves the address")
	}
	check(t, s.cmd.Wait())

	s.start()
	if !hasLinkLocal(t) {
		t.Error("it is not added again")
	}
	s.kill()
	check(t, syscall.Kill(s.gatewayPID(), syscall.SIGKILL))
	s.args = nil
	s.start()
	if hasLinkLocal(t) {
		t.Error("a start without it leaves the address")
	}
}
