package e2e

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// stages are how far a restart or reimage is, as its documents say.
var stages = []struct {
	name string
	at   func(resource.InstanceStatus) bool
}{
	{"asked for", func(resource.InstanceStatus) bool { return true }},
	{"draining", func(s resource.InstanceStatus) bool { return s.Operation.Started != nil }},
	{"being stopped", func(s resource.InstanceStatus) bool { return s.Operation.Released != nil }},
	{"starting", func(s resource.InstanceStatus) bool { return s.Operation.Released != nil && s.Renewed() }},
}

// slowToTurn takes its time at every stage.
func slowToTurn() sample.Config {
	return sample.Config{Version: "1.0.0", IgnoreTerm: true, StartDelayMs: 1000}
}

// asks asks something of an instance and waits until that is so far.
func (s *server) asks(action resource.Action, name string, at func(resource.InstanceStatus) bool) {
	s.t.Helper()
	_, err := s.client.Operate(s.ctx(), name, action)
	check(s.t, err)
	s.eventually(20*time.Second, name+" is so far", func() (bool, error) {
		st := s.instance(name).Status
		return st.Operation == nil || at(st), nil // it may be over already
	})
}

// The control process is killed at every stage of a restart and of a reimage: the next
// one goes on, no request is lost, and it is done once.
func TestControlKilledWhileAnInstanceIsRenewed(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", slowToTurn())
	p := announced(3, "PT1S")
	p.stop = "1s"
	s.apply(p.yaml())
	load := s.startTraffic(s.serving(3))
	restarts, reimages := 0, 0
	for i, stage := range stages {
		action := resource.ActionReimage
		if reimages++; i%2 == 1 && !*long {
			action, restarts, reimages = resource.ActionRestart, restarts+1, reimages-1
		}
		s.mark("hello_1")
		s.asks(action, "hello_1", stage.at)
		s.kill()
		s.start()
		in := s.back("hello_1")
		s.marked("hello_1", action == resource.ActionRestart)
		if in.Status.Restarted != restarts || in.Status.Reimaged != reimages || in.Status.Restarts != 0 {
			t.Errorf("killed while it was %s, it was restarted %d times and reimaged %d times, %d times by itself", stage.name, in.Status.Restarted, in.Status.Reimaged, in.Status.Restarts)
		}
	}
	s.settled("1.0.0", 3)
	load.zeroFailed()
}

// Whatever is asked of random instances, while versions roll, the set is scaled and the
// control process is killed at random points, loses nothing, and ends.
func TestRandomOperationsLoseNothing(t *testing.T) {
	random := seeded(t)
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	p := policy{capacity: 4, bake: "500ms", drain: "1s", keep: "1s"}
	s.apply(p.yaml())
	load := s.startTraffic(s.serving(4))
	current, accepted := "1.0.0", 0
	for i := 1; i <= size(4, 25); i++ {
		next := fmt.Sprintf("1.%d.0", i)
		s.push("hello:"+next, sample.Config{StartDelayMs: random.IntN(500)})
		rollout := s.roll("hello:" + next)
		for range 6 {
			list := s.instances()
			name := list[random.IntN(len(list))].Name
			action := []resource.Action{resource.ActionRestart, resource.ActionReimage, resource.ActionDelete}[random.IntN(3)]
			if _, err := s.client.Operate(s.ctx(), name, action); err == nil {
				accepted++
			}
			s.mustDrover("scale", "hello", fmt.Sprint(3+random.IntN(2)))
			time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
			if random.IntN(3) == 0 {
				s.kill()
				s.start()
			}
		}
		s.ends(rollout, resource.RolloutSucceeded)
		current = next
	}
	s.mustDrover("scale", "hello", "4")
	s.settled(current, 4)
	for _, in := range s.instances() {
		if in.Status.Operation != nil && in.Status.Admission == resource.AdmissionInService {
			t.Errorf("%s serves, and is left with %+v", in.Name, in.Status.Operation)
		}
	}
	t.Logf("%d operations were accepted", accepted)
	load.zeroFailed()
}

// The gateway is killed while an instance drains and while it is away: the next one
// goes on with it.
func TestGatewayKilledWhileAnInstanceIsRenewed(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", slowToTurn())
	p := policy{capacity: 2, drain: "2s", stop: "1s"}
	s.apply(p.yaml())
	s.serving(2)
	for _, stage := range stages {
		s.mark("hello_1")
		s.asks(resource.ActionReimage, "hello_1", stage.at)
		s.killGateway()
		s.back("hello_1")
		s.marked("hello_1", false)
	}
	s.settled("1.0.0", 2)
}

// What was asked before `down` is done after the next `up`.
func TestDownWhileAnInstanceIsRenewed(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", slowToTurn())
	p := announced(2, "PT10M")
	p.stop = "1s"
	s.apply(p.yaml())
	s.serving(2)
	s.mark("hello_0")
	s.mark("hello_1")
	s.asks(resource.ActionReimage, "hello_0", func(st resource.InstanceStatus) bool { return st.Notice != nil })
	s.asks(resource.ActionRestart, "hello_1", stages[2].at)
	event := s.instance("hello_0").Status.Notice.EventID
	s.mustDrover("down")
	s.start()
	s.back("hello_1")
	s.marked("hello_1", true)
	s.marked("hello_0", os.Geteuid() == 0) // every start compares, otherwise
	endpoint := s.endpointOf("hello_1")
	if status, body := metadata(t, http.MethodPost, endpoint, fmt.Sprintf(`{"StartRequests":[{"EventId":%q}]}`, event)); status != http.StatusOK {
		t.Fatalf("the approval was answered with %d: %s", status, body)
	}
	s.back("hello_0")
	s.marked("hello_0", false)
	s.settled("1.0.0", 2)
}

// A rollout does not fail because an instance of either colour is restarted, and what
// is asked of one that a rollout retires is over with it.
func TestRenewalsWhileARolloutRuns(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{StartDelayMs: 1000})
	p := announced(2, "PT10M")
	p.bake, p.keep, p.grace = "8s", "100ms", "5s"
	s.apply(p.yaml())
	load := s.startTraffic(s.serving(2))
	rollout := s.roll("hello:2.0.0")
	s.reaches(rollout, resource.RolloutStarting)
	s.asks(resource.ActionRestart, "hello_0", stages[0].at) // serves
	s.asks(resource.ActionReimage, "hello_1", stages[0].at) // is told, and then retired
	s.asks(resource.ActionReimage, "hello_2", stages[0].at) // has no traffic yet
	if _, err := s.client.Operate(s.ctx(), "hello_1", resource.ActionDelete); !resource.IsCode(err, resource.CodeRolloutInProgress) {
		t.Errorf("a deletion in the middle of a rollout: %v", err)
	}
	s.reaches(rollout, resource.RolloutBaking)
	s.asks(resource.ActionRestart, "hello_3", stages[0].at) // serves
	s.ends(rollout, resource.RolloutSucceeded)
	s.settled("2.0.0", 2)
	s.gone(20*time.Second, "hello_0", "hello_1")
	if in := s.back("hello_2"); in.Status.Reimaged != 1 {
		t.Errorf("hello_2 was reimaged %d times", in.Status.Reimaged)
	}
	s.back("hello_3")
	if told := s.set("hello").Status.ScheduledEvents; len(told.Events) != 0 {
		t.Errorf("events are left over: %+v", told)
	}
	load.zeroFailed()
}

// What cannot be done is refused with what to do instead, and changes nothing; a role
// that may not change the set may not change its instances.
func TestRenewalsThatAreRefused(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	p := noticed(3, "PT10M")
	p.more += "\n  reimageNotification: {enable: true, notBeforeTimeout: PT10M}"
	s.apply(p.yaml())
	s.serving(3)
	s.mustDrover("scale", "hello", "2")
	s.underNotice("hello_2")
	s.asks(resource.ActionReimage, "hello_1", stages[0].at)
	revision := s.instance("hello_2").Revision
	for _, test := range []struct {
		action resource.Action
		name   string
		code   resource.Code
		words  []string
	}{
		{resource.ActionRestart, "hello_2", resource.CodeConflict, []string{"to be deleted", "scale the set out"}},
		{resource.ActionReimage, "hello_2", resource.CodeConflict, []string{"to be deleted"}},
		{resource.ActionRestart, "hello_1", resource.CodeConflict, []string{"a reimage of it is under way", "admin", "wait"}},
		{resource.ActionRestart, "hello_9", resource.CodeNotFound, []string{"hello_9"}},
	} {
		_, err := s.client.Operate(s.ctx(), test.name, test.action)
		refused(t, err, test.code, test.words...)
	}
	if in := s.instance("hello_2"); in.Revision != revision {
		t.Error("a refusal has changed the document")
	}
	if again, err := s.client.Operate(s.ctx(), "hello_1", resource.ActionReimage); err != nil || again.Revision != s.instance("hello_1").Revision {
		t.Errorf("asked again: %v, revision %d", err, again.Revision)
	}
}
