package e2e

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// Fields that the stories vary.
const (
	longBake  = "upgradePolicy: {blueGreen: {startTimeout: 30s, bakeTime: 5m, keepPrevious: 1m}}"
	shortKeep = "upgradePolicy: {blueGreen: {startTimeout: 30s, bakeTime: 100ms, keepPrevious: 100ms}}"
	manual    = "upgradePolicy: {mode: Manual, blueGreen: {startTimeout: 30s, bakeTime: 100ms, keepPrevious: 1m}}"
)

// The spec is the wish, the status is what runs: each rule by itself, all of them
// on one server.
func TestSpecIsTheWish(t *testing.T) {
	s := startBeside(t)
	for _, v := range []string{"w:1.0.0", "w:2.0.0", "w:3.0.0"} {
		s.push(v, sample.Config{})
	}
	s.push("w:9.0.0", sample.Config{NeverHealthy: true})
	for name, story := range map[string]func(ownSet){
		"unchanged while rolling":     unchangedWhileRolling,
		"changed while rolling":       changedWhileRolling,
		"back to what runs":           backToWhatRuns,
		"known bad":                   knownBad,
		"known bad is stored":         knownBadIsStored,
		"rollback keeps spec":         rollbackKeepsSpec,
		"follow by name":              followByName,
		"follow skips bad":            followSkipsBad,
		"follow keeps what runs":      followKeepsWhatRuns,
		"capacity of kept colour":     capacityOfKeptColour,
		"capacity while rolling":      capacityWhileRolling,
		"missing image":               missingImage,
		"missing image given up":      missingImageGivenUp,
		"missing image of a new set":  missingImageOfANewSet,
		"start of missing image":      startOfMissingImage,
		"pause times out":             pauseTimesOut,
		"pause and resume":            pauseAndResume,
		"cancel":                      cancelRollout,
		"cancel when finishing":       cancelWhenFinishing,
		"rollback at once":            rollbackAtOnce,
		"rollback on a new colour":    rollbackOnANewColour,
		"rollback of a rollback":      rollbackOfARollback,
		"manual":                      manualMode,
		"start of what runs":          startOfWhatRuns,
		"same content by another tag": sameContentByAnotherTag,
	} {
		t.Run(name, func(t *testing.T) { story(s.own(t)) })
	}
}

// The model part unchanged: never a rollout, never 409; the other fields apply.
func unchangedWhileRolling(s ownSet) {
	s.begin("w:1.0.0", longBake)
	rollout := s.roll("w:2.0.0")
	s.reaches(rollout, resource.RolloutBaking)
	outcomes, err := s.put(s.yaml("w:2.0.0", longBake, "stopTimeout: 7s", "dataRetention: 1h"), client.ApplyOptions{})
	check(s.t, err)
	if len(outcomes) != 1 || outcomes[0].Rollout || outcomes[0].Action != client.ActionUpdate {
		s.t.Errorf("the apply did %+v", outcomes)
	}
	set := s.now()
	if set.Spec.StopTimeout.String() != "7s" || set.Spec.DataRetention.String() != "1h" || set.Status.Rollout != rollout {
		s.t.Errorf("the other fields did not apply in place: %+v, rollout %q", set.Spec, set.Status.Rollout)
	}
	if list := s.rollouts(); len(list) != 1 {
		s.t.Errorf("there are the rollouts %v", list)
	}
}

func changedWhileRolling(s ownSet) {
	s.begin("w:1.0.0", longBake)
	rollout := s.roll("w:2.0.0")
	before := s.now()
	for _, change := range []string{s.yaml("w:3.0.0", longBake), s.yaml("w:2.0.0", longBake, "env: {A: b}"), s.yaml("w:1.0.0", longBake)} {
		_, err := s.put(change, client.ApplyOptions{})
		refused(s.t, err, resource.CodeRolloutInProgress, rollout)
		_, err = s.put(change, client.ApplyOptions{Force: true})
		refused(s.t, err, resource.CodeRolloutInProgress, rollout)
	}
	_, err := s.start("w:3.0.0", false)
	refused(s.t, err, resource.CodeRolloutInProgress, rollout)
	if now := s.now(); now.Generation != before.Generation {
		s.t.Errorf("a refused change left its mark: %+v", now.Spec)
	}
}

// Changed to what status.model is: accepted, no rollout, the condition clears.
func backToWhatRuns(s ownSet) {
	s.begin("w:1.0.0", "health: {path: /healthz, interval: 200ms, gracePeriod: 1s}")
	s.ends(s.roll("w:9.0.0"), resource.RolloutRolledBack)
	c := s.condition(resource.ConditionSpecNotRunning, "KnownBad")
	says(s.t, c.Message, "w:9.0.0", "w:1.0.0", "--force")
	says(s.t, s.mustDrover("status"), s.name, c.Message)
	s.apply(s.yaml("w:1.0.0"))
	s.plain()
	if list := s.rollouts(); len(list) != 1 {
		s.t.Errorf("there are the rollouts %v", list)
	}
	s.runs("w:1.0.0")
}

func knownBad(s ownSet) {
	s.begin("w:1.0.0", "health: {path: /healthz, interval: 200ms, gracePeriod: 1s}")
	first := s.roll("w:9.0.0")
	s.ends(first, resource.RolloutRolledBack)
	s.apply(s.yaml("w:1.0.0"))
	before := s.now()
	if len(before.Status.BadModels) != 1 || before.Status.BadModels[0].Rollout != first || before.Status.BadModels[0].Model.Version != "9.0.0" {
		s.t.Errorf("badModels: %+v", before.Status.BadModels)
	}
	other := fmt.Sprintf("---\nkind: LoadBalancer\nname: %s\nspec: {listen: \"127.0.0.1:0\", backend: %s}\n", s.name, s.name)
	_, err := s.put(s.yaml("w:9.0.0", "capacity: 2")+other, client.ApplyOptions{})
	refused(s.t, err, resource.CodeModelKnownBad, "w:9.0.0", first, "force")
	_, err = s.start("w:9.0.0", false)
	refused(s.t, err, resource.CodeModelKnownBad, first)
	if now := s.now(); now.Generation != before.Generation || now.Status.Rollout != "" {
		s.t.Errorf("a refused change left its mark: %+v", now)
	}
	_, err = s.client.Get(s.ctx(), resource.KindLoadBalancer, s.name)
	refused(s.t, err, resource.CodeNotFound)

	s.apply(s.yaml("w:9.0.0"), "--force")
	now := s.now()
	if now.Status.Rollout == "" || len(now.Status.BadModels) != 0 {
		s.t.Fatalf("force does not override and forget: %+v", now.Status)
	}
	s.ends(now.Status.Rollout, resource.RolloutRolledBack)
	if bad := s.now().Status.BadModels; len(bad) != 1 || bad[0].Rollout != now.Status.Rollout {
		s.t.Errorf("it failed again and badModels is %+v", bad)
	}
	again, err := s.start("w:9.0.0", true)
	check(s.t, err)
	if bad := s.now().Status.BadModels; len(bad) != 0 || !again.Spec.Force {
		s.t.Errorf("a forced start does not forget: %+v, %+v", bad, again.Spec)
	}
}

// The stored spec asks for what failed: applying it again changes nothing, and
// only a forced start, without an image, tries it again.
func knownBadIsStored(s ownSet) {
	s.begin("w:1.0.0", "health: {path: /healthz, interval: 200ms, gracePeriod: 1s}")
	s.apply(s.yaml("w:9.0.0", "health: {path: /healthz, interval: 200ms, gracePeriod: 1s}"))
	s.ends(s.now().Status.Rollout, resource.RolloutRolledBack)
	s.apply(s.yaml("w:9.0.0"))
	_, err := s.start("", false)
	refused(s.t, err, resource.CodeModelKnownBad)
	if list := s.rollouts(); len(list) != 1 {
		s.t.Fatalf("there are the rollouts %v", list)
	}
	r, err := s.start("", true)
	check(s.t, err)
	if r.Spec.To.Image != "w:9.0.0" || !r.Spec.Force {
		s.t.Errorf("the forced rollout is %+v", r.Spec)
	}
	s.ends(r.Name, resource.RolloutRolledBack)
}

func rollbackKeepsSpec(s ownSet) {
	s.begin("w:1.0.0")
	up := s.roll("w:2.0.0")
	s.ends(up, resource.RolloutSucceeded)
	if image := s.now().Spec.Image; image != "w:2.0.0" {
		s.t.Errorf("the start wrote %s into the spec", image)
	}
	before := s.now()
	s.ends(s.rollBack(up), resource.RolloutSucceeded)
	s.runs("w:1.0.0")
	set := s.now()
	if set.Generation != before.Generation || set.Spec.Image != "w:2.0.0" {
		s.t.Errorf("the rollback changed the spec: %+v", set.Spec)
	}
	if bad := set.Status.BadModels; len(bad) != 1 || bad[0].Model.Version != "2.0.0" {
		s.t.Errorf("the model that was left is not remembered as bad: %+v", bad)
	}
	c := s.condition(resource.ConditionSpecNotRunning, "KnownBad")
	says(s.t, c.Message, "w:2.0.0", "w:1.0.0")
	says(s.t, s.mustDrover("describe", "scaleset", s.name), c.Message)
	s.apply(s.yaml("w:2.0.0"))
	if list := s.rollouts(); len(list) != 2 {
		s.t.Errorf("there are the rollouts %v", list)
	}
}

// A set that follows an image takes the newest version when it is made and when a
// rollout is asked for, and not by itself.
func followByName(s ownSet) {
	s.push("follow:1.0.0", sample.Config{})
	s.push("follow:1.1.0", sample.Config{})
	s.apply(s.yaml("follow"))
	s.runs("follow:1.1.0")
	s.push("follow:1.10.0", sample.Config{})
	s.push("follow:1.9.0", sample.Config{})
	s.apply(s.yaml("follow"))
	if r := s.rollouts(); len(r) != 0 {
		s.t.Errorf("a push started %v by itself", r)
	}
	s.ends(s.roll(""), resource.RolloutSucceeded)
	s.runs("follow:1.10.0")
	s.plain()
	if image := s.now().Spec.Image; image != "follow" {
		s.t.Errorf("the spec follows %q", image)
	}
}

// Not good: excluded, revoked, or the new image of a rollout that this set rolled back.
func followSkipsBad(s ownSet) {
	s.push("skip:1.0.0", sample.Config{})
	s.apply(s.yaml("skip"))
	s.runs("skip:1.0.0")
	for _, v := range []string{"2.0.0", "3.0.0", "4.0.0"} {
		s.push("skip:"+v, sample.Config{})
	}
	s.apply("kind: ImageVersion\nname: skip:4.0.0\nspec: {excludeFromLatest: true}\n" +
		"---\nkind: ImageVersion\nname: skip:3.0.0\nspec: {revoked: {at: 2026-01-01T00:00:00Z, reason: leaks}}\n")
	up := s.roll("")
	s.ends(up, resource.RolloutSucceeded)
	s.runs("skip:2.0.0")
	s.ends(s.rollBack(up), resource.RolloutSucceeded)
	s.runs("skip:1.0.0")
	out := s.mustDrover("rollout", "start", s.name)
	says(s.t, out, "nothing to roll out")
	s.push("skip:2.0.1", sample.Config{})
	s.ends(s.roll(""), resource.RolloutSucceeded)
	s.runs("skip:2.0.1")
}

// Changing another field of the model keeps the running image.
func followKeepsWhatRuns(s ownSet) {
	s.push("stay:1.0.0", sample.Config{})
	s.apply(s.yaml("stay"))
	s.runs("stay:1.0.0")
	s.push("stay:2.0.0", sample.Config{})
	s.apply(s.yaml("stay", "env: {A: 1.10}"))
	s.ends(s.name+"-1", resource.RolloutSucceeded)
	s.runs("stay:1.0.0")
	if env := s.now().Status.Model.Env; !maps.Equal(env, map[string]string{"A": "1.10"}) {
		s.t.Errorf("the model's environment is %v", env)
	}
	s.plain()
}

// A capacity change applies to every colour that exists, the kept one too.
func capacityOfKeptColour(s ownSet) {
	s.begin("w:1.0.0")
	s.ends(s.roll("w:2.0.0"), resource.RolloutSucceeded)
	for _, n := range []int{3, 1} {
		s.mustDrover("scale", s.name, fmt.Sprint(n))
		s.eventually(30*time.Second, "both colours have the capacity", func() (bool, error) {
			count := map[string]int{}
			for _, in := range s.members() {
				if in.Status.Health == resource.HealthHealthy && in.Status.Goal == resource.GoalRun {
					count[fmt.Sprint(in.Status.Version, " ", in.Status.Admission)]++
				} else {
					count["other"]++
				}
			}
			return maps.Equal(count, map[string]int{"1.0.0 Out": n, "2.0.0 InService": n}), nil
		})
	}
	if list := s.rollouts(); len(list) != 1 {
		s.t.Errorf("there are the rollouts %v", list)
	}
}

func capacityWhileRolling(s ownSet) {
	s.begin("w:1.0.0", longBake)
	rollout := s.roll("w:2.0.0")
	s.reaches(rollout, resource.RolloutBaking)
	s.mustDrover("scale", s.name, "2")
	s.eventually(30*time.Second, "both colours have the capacity", func() (bool, error) {
		count := map[string]int{}
		for _, in := range s.members() {
			if in.Status.Health == resource.HealthHealthy {
				count[in.Status.Version]++
			}
		}
		return maps.Equal(count, map[string]int{"1.0.0": 2, "2.0.0": 2}), nil
	})
	if r := s.rollout(rollout); r.Status.Phase != resource.RolloutBaking {
		s.t.Errorf("the rollout is %s: %s", r.Status.Phase, r.Status.Reason)
	}
}

// An image that does not exist yet is accepted, and rolled out when it is pushed.
func missingImage(s ownSet) {
	s.begin("w:1.0.0")
	s.apply(s.yaml("late:1.0.0"))
	c := s.condition(resource.ConditionImageNotFound, "NotFound")
	says(s.t, c.Message, "late:1.0.0")
	s.condition(resource.ConditionSpecNotRunning, "ImageNotFound")
	if list := s.rollouts(); len(list) != 0 {
		s.t.Errorf("there are the rollouts %v", list)
	}
	s.mustDrover("scale", s.name, "2") // the set goes on as it is
	s.runs("w:1.0.0")
	s.push("late:1.0.0", sample.Config{Version: "late"})
	s.ends(s.begun(), resource.RolloutSucceeded)
	s.runs("late:1.0.0")
	s.plain()
}

// begun waits for the set's first rollout.
func (s ownSet) begun() string {
	s.t.Helper()
	s.eventually(10*time.Second, "a rollout has begun", func() (bool, error) { return len(s.rollouts()) > 0, nil })
	return s.rollouts()[0]
}

func missingImageGivenUp(s ownSet) {
	s.begin("w:1.0.0")
	s.apply(s.yaml("never:1.0.0"))
	s.condition(resource.ConditionImageNotFound, "NotFound")
	s.apply(s.yaml("w:1.0.0"))
	s.plain()
	s.push("never:1.0.0", sample.Config{Version: "never"})
	s.apply(s.yaml("w:1.0.0", "capacity: 2"))
	s.runs("w:1.0.0")
	if list := s.rollouts(); len(list) != 0 {
		s.t.Errorf("what the spec no longer asks for was rolled out: %v", list)
	}
}

func missingImageOfANewSet(s ownSet) {
	s.apply(s.yaml("first:1.0.0"))
	s.condition(resource.ConditionImageNotFound, "NotFound")
	s.push("first:1.0.0", sample.Config{})
	s.runs("first:1.0.0")
	s.plain()
}

func startOfMissingImage(s ownSet) {
	s.begin("w:1.0.0")
	before := s.now()
	_, err := s.start("w:7.7.7", false)
	refused(s.t, err, resource.CodeImageNotFound, "w:7.7.7")
	if now := s.now(); now.Revision != before.Revision {
		s.t.Errorf("the set changed: %+v", now)
	}
	_, errs, code := s.drover("rollout", "start", s.name, "--image", "w:7.7.7")
	if code != 1 {
		s.t.Errorf("exit code %d: %s", code, errs)
	}
}

// The model is stored; `rollout start` applies it.
func manualMode(s ownSet) {
	s.begin("w:1.0.0", manual)
	s.apply(s.yaml("w:2.0.0", manual))
	says(s.t, s.condition(resource.ConditionSpecNotRunning, "Manual").Message, "rollout start "+s.name)
	if list := s.rollouts(); len(list) != 0 {
		s.t.Errorf("there are the rollouts %v", list)
	}
	_, err := s.client.StartRollout(s.ctx(), s.name, client.RolloutRequest{Strategy: resource.ModeRolling})
	refused(s.t, err, resource.CodeUnsupported, "Rolling", "not yet supported")
	s.mustDrover("rollout", "start", s.name, "--strategy", "BlueGreen", "--watch")
	s.runs("w:2.0.0")
	s.plain()
}

func startOfWhatRuns(s ownSet) {
	s.begin("w:1.0.0")
	says(s.t, s.mustDrover("rollout", "start", s.name, "--image", "w:1.0.0", "--watch"), "nothing to roll out")
	if list := s.rollouts(); len(list) != 0 {
		s.t.Errorf("there are the rollouts %v", list)
	}
}

// The model is the image's content: another name for the same digest is no change.
func sameContentByAnotherTag(s ownSet) {
	s.push("twin:1.0.0", sample.Config{Version: "same"})
	s.push("twin:2.0.0", sample.Config{Version: "same"})
	s.begin("twin:1.0.0")
	pid := s.members()[0].Status.PID
	s.apply(s.yaml("twin:2.0.0"))
	s.mustDrover("scale", s.name, "2")
	s.runs("twin:1.0.0")
	s.plain()
	if list := s.rollouts(); len(list) != 0 {
		s.t.Errorf("there are the rollouts %v", list)
	}
	if now := s.members()[0].Status.PID; now != pid {
		s.t.Errorf("process %d became %d", pid, now)
	}
}
