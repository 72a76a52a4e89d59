package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// A pause that nobody ends goes back and ends Cancelled; the model is not bad.
func pauseTimesOut(s ownSet) {
	s.begin("w:1.0.0", longBake)
	rollout := s.roll("w:2.0.0")
	s.reaches(rollout, resource.RolloutBaking)
	s.mustDrover("rollout", "pause", s.name, "--for", "300ms")
	r := s.ends(rollout, resource.RolloutCancelled)
	says(s.t, r.Status.Reason, "not resumed in time")
	s.calledOff("w:1.0.0")
}

// calledOff: a rollout was, so its model is not bad and may be started again.
func (s ownSet) calledOff(running string) {
	s.t.Helper()
	s.runs(running)
	set := s.now()
	if len(set.Status.BadModels) != 0 || set.Spec.Image == running {
		s.t.Errorf("bad: %+v, the spec asks for %s", set.Status.BadModels, set.Spec.Image)
	}
	s.condition(resource.ConditionSpecNotRunning, "NotStarted")
	again := s.roll("")
	if to := s.rollout(again).Spec.To.Image; to != set.Spec.Image {
		s.t.Errorf("it was started again with %s", to)
	}
	s.reaches(again, resource.RolloutBaking)
}

func pauseAndResume(s ownSet) {
	s.begin("w:1.0.0")
	s.push("slow:1.0.0", sample.Config{StartDelayMs: 1000})
	rollout := s.roll("slow:1.0.0")
	s.reaches(rollout, resource.RolloutStarting)
	s.mustDrover("rollout", "pause", s.name)
	s.reaches(rollout, resource.RolloutPaused)
	if until := s.rollout(rollout).Status.PausedUntil; until == nil || time.Until(*until) < 23*time.Hour {
		s.t.Errorf("paused until %v", until)
	}
	s.eventually(20*time.Second, "the new instance is healthy", func() (bool, error) {
		return slices.ContainsFunc(s.members(), func(in resource.Instance) bool {
			return in.Status.Model.Image == "slow:1.0.0" && in.Status.Health == resource.HealthHealthy
		}), nil
	})
	if r := s.rollout(rollout); r.Status.Phase != resource.RolloutPaused {
		s.t.Errorf("it went on by itself to %s", r.Status.Phase)
	}
	s.mustDrover("rollout", "resume", rollout)
	s.ends(rollout, resource.RolloutSucceeded)
}

func cancelRollout(s ownSet) {
	s.begin("w:1.0.0", longBake)
	rollout := s.roll("w:2.0.0")
	s.reaches(rollout, resource.RolloutBaking)
	s.mustDrover("rollout", "cancel", s.name)
	s.ends(rollout, resource.RolloutCancelled)
	_, err := s.client.Cancel(s.ctx(), rollout)
	refused(s.t, err, resource.CodeInvalidPhase, "ended")
	s.calledOff("w:1.0.0")
}

// Cancel is refused from Finishing on, and says what to use.
func cancelWhenFinishing(s ownSet) {
	s.begin("w:1.0.0")
	s.apply(fmt.Sprintf("kind: LoadBalancer\nname: %s\nspec: {listen: \"127.0.0.1:0\", backend: %s}\n", s.name, s.name))
	address := s.address(s.name)
	slow := make(chan error, 1)
	go func() { slow <- get(address, "/?ms=5000") }()
	s.eventually(10*time.Second, "the slow request is being handled", func() (bool, error) {
		return len(s.noncesOf(s.members()[0].Name)) > 0, nil
	})
	rollout := s.roll("w:2.0.0")
	s.reaches(rollout, resource.RolloutFinishing)
	_, err := s.client.Cancel(s.ctx(), rollout)
	refused(s.t, err, resource.CodeInvalidPhase, "Finishing", "rollback")
	check(s.t, <-slow)
	s.ends(rollout, resource.RolloutSucceeded)
}

// get is one request that must be answered with 200.
func get(address, path string) error {
	req, err := http.NewRequest(http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set(load.NonceHeader, newNonce("get"))
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", path, resp.Status)
	}
	return nil
}

// The last Succeeded one is rolled back on the colour that was kept, at once.
func rollbackAtOnce(s ownSet) {
	s.begin("w:1.0.0")
	first := s.members()[0]
	up := s.roll("w:2.0.0")
	s.ends(up, resource.RolloutSucceeded)
	back := s.ends(s.rollBack(up), resource.RolloutSucceeded)
	if back.Spec.RollbackOf != up || back.Spec.From.Image != "w:2.0.0" || back.Spec.To.Image != "w:1.0.0" {
		s.t.Errorf("the rollback is %+v", back.Spec)
	}
	s.runs("w:1.0.0")
	s.eventually(20*time.Second, "only the instance that was kept is left", func() (bool, error) {
		list := s.members()
		return len(list) == 1 && list[0].Name == first.Name && list[0].Status.PID == first.Status.PID, nil
	})
}

func rollbackOnANewColour(s ownSet) {
	s.begin("w:1.0.0", shortKeep)
	first := s.members()[0]
	up := s.roll("w:2.0.0")
	s.ends(up, resource.RolloutSucceeded)
	s.eventually(20*time.Second, "the kept colour is gone", func() (bool, error) { return len(s.members()) == 1, nil })
	s.ends(s.rollBack(up), resource.RolloutSucceeded)
	s.runs("w:1.0.0")
	for _, in := range s.members() {
		if in.Name == first.Name {
			s.t.Errorf("%s was used again", in.Name)
		}
	}
}

// Only the set's last Succeeded one can be rolled back, and a rollback never.
func rollbackOfARollback(s ownSet) {
	s.begin("w:1.0.0")
	eldest := s.roll("w:3.0.0")
	s.ends(eldest, resource.RolloutSucceeded)
	last := s.roll("w:2.0.0")
	s.ends(last, resource.RolloutSucceeded)
	_, err := s.client.Rollback(s.ctx(), eldest)
	refused(s.t, err, resource.CodeNotRollbackable, eldest)
	back := s.rollBack(last)
	s.ends(back, resource.RolloutSucceeded)
	for _, name := range []string{back, last, eldest} {
		_, err := s.client.Rollback(s.ctx(), name)
		refused(s.t, err, resource.CodeNotRollbackable, name)
	}
	s.runs("w:3.0.0")
}
