package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// A rollback asked for at every step puts all traffic back and loses nothing.
func TestRollbackAtEveryStepLosesNothing(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 2, bake: "3s", drain: "5s"}.yaml())
	address := s.serving(2)
	load := s.startTraffic(address)

	s.push("hello:2.0.0", sample.Config{StartDelayMs: 4000})
	starting := s.roll("hello:2.0.0")
	s.reaches(starting, resource.RolloutStarting)
	s.rollBack(starting)
	s.ends(starting, resource.RolloutRolledBack)
	s.settled("1.0.0", 2)

	s.push("hello:2.1.0", sample.Config{StartDelayMs: 1000})
	shifting := s.roll("hello:2.1.0")
	release := s.holdShifting(shifting)
	s.rollBack(shifting)
	release()
	s.ends(shifting, resource.RolloutRolledBack)
	s.settled("1.0.0", 2)

	s.push("hello:2.2.0", sample.Config{})
	paused := s.roll("hello:2.2.0")
	s.reaches(paused, resource.RolloutBaking)
	s.mustDrover("rollout", "pause", "hello")
	s.reaches(paused, resource.RolloutPaused)
	s.rollBack(paused)
	s.ends(paused, resource.RolloutRolledBack)
	s.settled("1.0.0", 2)

	s.push("hello:3.0.0", sample.Config{})
	baking := s.roll("hello:3.0.0")
	s.reaches(baking, resource.RolloutBaking)
	s.rollBack(baking)
	s.ends(baking, resource.RolloutRolledBack)
	s.settled("1.0.0", 2)

	s.push("hello:4.0.0", sample.Config{})
	finishing := s.roll("hello:4.0.0")
	s.reaches(finishing, resource.RolloutStarting)
	slow := holdInFlight(t, address, 4500)
	s.reaches(finishing, resource.RolloutFinishing)
	s.rollBack(finishing)
	s.ends(finishing, resource.RolloutRolledBack)
	slow.Wait()
	s.settled("1.0.0", 2)
	load.zeroFailed()
}

// A rollback of the last successful rollout goes back at once while the old colour
// is kept, and on new instances once it is gone.
func TestRollbackOfASuccessLosesNothing(t *testing.T) {
	s := startServer(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.push("hello:3.0.0", sample.Config{})
	s.apply(policy{capacity: 2, bake: "300ms", keep: "1m", drain: "1s"}.yaml())
	load := s.startTraffic(s.serving(2))

	s.ends(s.roll("hello:2.0.0"), resource.RolloutSucceeded)
	kept := s.instances()
	began := time.Now()
	back := s.ends(s.rollBack("hello-1"), resource.RolloutSucceeded)
	if back.Spec.RollbackOf != "hello-1" {
		t.Errorf("rollbackOf is %q", back.Spec.RollbackOf)
	}
	t.Logf("back on the kept colour after %s", time.Since(began).Round(time.Millisecond))
	s.settled("1.0.0", 2)
	for _, in := range s.instances() {
		if n := indexOf(kept, in.Name); n < 0 || kept[n].Status.PID != in.Status.PID {
			t.Errorf("%s serves, it is not one of the kept colour", in.Name)
		}
	}

	s.apply(policy{image: "hello:1.0.0", capacity: 2, bake: "300ms", keep: "100ms", drain: "1s"}.yaml())
	forward := s.roll("hello:3.0.0")
	s.ends(forward, resource.RolloutSucceeded)
	s.eventually(20*time.Second, "the kept colour is gone", func() (bool, error) {
		return s.set("hello").Status.Previous == nil, nil
	})
	s.ends(s.rollBack(forward), resource.RolloutSucceeded)
	s.settled("1.0.0", 2)
	load.zeroFailed()
}

// rollBack asks for it and returns the rollout to wait for.
func (s *server) rollBack(rollout string) string {
	s.t.Helper()
	r, err := s.client.Rollback(s.ctx(), rollout)
	check(s.t, err)
	return r.Name
}

func indexOf(list []resource.Instance, name string) int {
	for i, in := range list {
		if in.Name == name {
			return i
		}
	}
	return -1
}

// holdInFlight keeps slow requests in flight, which must be answered whatever happens.
func holdInFlight(t *testing.T, address string, ms int) *sync.WaitGroup {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			resp, err := http.Get(fmt.Sprintf("http://%s/?ms=%d", address, ms))
			if err != nil {
				t.Errorf("a slow request failed: %v", err)
				return
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("a slow request was answered with %s", resp.Status)
			}
		})
	}
	return &wg
}
