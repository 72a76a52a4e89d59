package e2e

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// regular is a client that keeps its cookies.
type regular struct {
	t       *testing.T
	address string
	client  http.Client
}

func visit(t *testing.T, address string) *regular {
	t.Helper()
	jar, err := cookiejar.New(nil)
	check(t, err)
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &regular{t, address, http.Client{Jar: jar, Transport: tr, Timeout: 20 * time.Second}}
}

// ask says which instance answered, and its version.
func (v *regular) ask() (instance, version string) {
	v.t.Helper()
	resp, err := v.client.Get("http://" + v.address + "/")
	if err != nil {
		v.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		v.t.Fatalf("answered with %s", resp.Status)
	}
	return resp.Header.Get("X-Instance"), resp.Header.Get(load.VersionHeader)
}

func (v *regular) staysWith(instance string) {
	v.t.Helper()
	for range 20 {
		if got, _ := v.ask(); got != instance {
			v.t.Fatalf("went to %s instead of %s", got, instance)
		}
	}
}

func withAffinity(p policy) string {
	return strings.Replace(p.yaml(), "backend: hello,", "backend: hello, affinity: {cookie: stay},", 1)
}

// A client stays with its instance whatever becomes of Drover's own processes, and
// goes on with another one the moment its own is drained.
func TestAffinityUntilADrain(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.apply(withAffinity(policy{capacity: 3}))
	address := s.serving(3)
	v := visit(t, address)
	mine, _ := v.ask()
	v.staysWith(mine)
	s.killGateway()
	v.staysWith(mine)
	s.kill()
	v.staysWith(mine)
	s.start()
	v.staysWith(mine)
	s.killGateway()
	v.staysWith(mine)

	rollout := s.roll("hello:2.0.0")
	for seen := ""; seen != "2.0.0"; _, seen = v.ask() {
		if r := s.rollout(rollout); r.Status.Phase.Terminal() && r.Status.Phase != resource.RolloutSucceeded {
			t.Fatalf("it ended %s: %s", r.Status.Phase, r.Status.Reason)
		}
	}
	mine, _ = v.ask()
	v.staysWith(mine)
	s.ends(rollout, resource.RolloutSucceeded)
	v.staysWith(mine)
}

// In a canary who was there before stays with the old version, and new clients are
// shared by the weights all the same.
func TestAffinityInACanary(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.apply(withAffinity(policy{capacity: 2, blueGreen: ", canary: [{percent: 20, hold: 5m}]"}))
	address := s.serving(2)
	old := visit(t, address)
	mine, _ := old.ask()
	rollout := s.roll("hello:2.0.0")
	s.inCanaryStep(rollout, 0)
	sh := s.sharing(rollout)
	fresh := 0
	var moved *regular
	for i := range 1000 {
		old.ask()
		v := visit(t, address)
		in, _ := v.ask()
		v.client.CloseIdleConnections()
		if sh.colour[in] == sh.fresh {
			fresh, moved = fresh+1, v
		}
		if i%100 == 0 {
			old.staysWith(mine)
		}
	}
	if fresh < 180 || fresh > 220 {
		t.Errorf("%d of 1,000 new clients went to the version with 20 %%", fresh)
	}
	theirs, _ := moved.ask()
	moved.staysWith(theirs)
	s.mustDrover("rollout", "cancel", rollout)
	s.ends(rollout, resource.RolloutCancelled)
	if in, version := moved.ask(); version != "1.0.0" {
		t.Errorf("after it was taken back, a client was answered by %s, version %s", in, version)
	}
	old.staysWith(mine)
}

// The cookie's value says nothing of who it stands for.
func TestAffinityTellsNothing(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(withAffinity(policy{capacity: 1}))
	resp, err := http.Get("http://" + s.serving(1) + "/")
	check(t, err)
	resp.Body.Close()
	cookie := resp.Header.Get("Set-Cookie")
	in := s.instances()[0]
	for _, word := range []string{in.Name, in.Status.Address, fmt.Sprint(in.Status.PID), in.Status.Address[strings.LastIndex(in.Status.Address, ":")+1:]} {
		if strings.Contains(cookie, word) {
			t.Errorf("the cookie %q has %q", cookie, word)
		}
	}
	if !strings.HasPrefix(cookie, "stay=") || !strings.HasSuffix(cookie, "; Path=/; HttpOnly; SameSite=Lax") {
		t.Errorf("the cookie is %q", cookie)
	}
}
