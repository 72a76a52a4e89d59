package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// announced is a set whose instances are told before they are reimaged.
func announced(capacity int, wait string) policy {
	return policy{capacity: capacity, drain: "2s", more: "  reimageNotification: {enable: true, notBeforeTimeout: " + wait + "}"}
}

func (s *server) instance(name string) resource.Instance {
	s.t.Helper()
	return read[resource.InstanceSpec, resource.InstanceStatus](s, resource.KindInstance, name)
}

// disks are the files by which an instance's disks are known again.
func (s *server) disks(instance string) (os, data string) {
	dir := filepath.Join(s.data, "instances", "hello", instance)
	return filepath.Join(dir, "os", "stray"), filepath.Join(dir, "data", "precious")
}

// mark puts a file on each of an instance's disks.
func (s *server) mark(instance string) {
	s.t.Helper()
	stray, precious := s.disks(instance)
	check(s.t, os.Chmod(filepath.Dir(stray), 0o755))
	check(s.t, os.WriteFile(stray, nil, 0o600))
	check(s.t, os.WriteFile(precious, []byte("data"), 0o600))
}

// marked checks that the data is what it was, and the OS disk or not. Not as root one
// that is not as its image has it is never started from.
func (s *server) marked(instance string, disk bool) {
	s.t.Helper()
	disk = disk && (os.Geteuid() == 0 || !s.renewed(instance))
	stray, precious := s.disks(instance)
	if _, err := os.Stat(stray); (err == nil) != disk {
		s.t.Errorf("%s has its old OS disk: %t, want %t", instance, err == nil, disk)
	}
	if text, err := os.ReadFile(precious); err != nil || string(text) != "data" {
		s.t.Errorf("%s has lost its data: %q, %v", instance, text, err)
	}
}

// renewed says whether an instance was restarted or reimaged.
func (s *server) renewed(name string) bool {
	st := s.instance(name).Status
	return st.Restarted+st.Reimaged > 0
}

// back waits until nothing more is asked of an instance, which serves, and returns it.
func (s *server) back(name string) (in resource.Instance) {
	s.t.Helper()
	s.eventually(40*time.Second, name+" is back", func() (bool, error) {
		in = s.instance(name)
		st := in.Status
		return st.Operation == nil && st.Notice == nil && st.Renewed() && st.Health == resource.HealthHealthy && st.Admission == resource.AdmissionInService, nil
	})
	return in
}

// Instances are restarted and reimaged, one and all of them at once, and no request
// is lost: each is drained first, and never all of them are out.
func TestRestartAndReimageUnderLoad(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{StartDelayMs: 500})
	s.apply(policy{capacity: 3, drain: "2s"}.yaml())
	load := s.startTraffic(s.serving(3))
	before := map[string]resource.Instance{}
	for _, in := range s.instances() {
		before[in.Name] = in
		s.mark(in.Name)
	}
	says(t, s.mustDrover("instance", "restart", "hello_0", "--watch"), "hello_0 restarted: Healthy, InService")
	says(t, s.mustDrover("instance", "reimage", "hello_1", "-w"), "draining", "hello_1 reimaged: Healthy, InService")
	s.marked("hello_0", true)
	s.marked("hello_1", false)
	s.marked("hello_2", true)
	if in := s.instance("hello_2"); in.Status.PID != before["hello_2"].Status.PID {
		t.Error("hello_2, of which nothing was asked, has another process")
	}
	var all sync.WaitGroup
	for name := range before {
		all.Go(func() {
			if _, errs, code := s.drover("instance", "reimage", name, "--watch"); code != 0 {
				t.Errorf("reimage %s: %s", name, errs)
			}
		})
	}
	all.Wait()
	for name, old := range before {
		s.marked(name, false)
		in := s.back(name)
		if in.Status.Address != old.Status.Address || in.Status.Restarts != 0 || in.Status.LastExit != nil || in.Created != old.Created {
			t.Errorf("%s came back as %+v", name, in.Status)
		}
		says(t, s.mustDrover("logs", name), "ended in order")
	}
	s.settled("1.0.0", 3)
	load.zeroFailed()
}

// Of a reimage every instance of the set is told, any may approve, and the event is
// gone when the instance is back.
func TestRedeployIsToldAndApproved(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(announced(3, "PT10M").yaml())
	load := s.lightTraffic(s.serving(3))
	s.mark("hello_1")
	says(t, s.mustDrover("instance", "reimage", "hello_1"), "is to be reimaged", "approves")
	n := s.underNotice("hello_1").Status.Notice
	for _, name := range []string{"hello_0", "hello_1", "hello_2"} {
		s.eventually(5*time.Second, name+" is told", func() (bool, error) {
			_, body := metadata(t, http.MethodGet, s.endpointOf(name), "")
			return strings.Contains(body, n.EventID) && strings.Contains(body, `"EventType":"Redeploy"`) && strings.Contains(body, `"Resources":["hello_1"]`) &&
				strings.Contains(body, `"EventStatus":"Scheduled"`) && strings.Contains(body, n.NotBefore.Format(http.TimeFormat)), nil
		})
	}
	if in := s.instance("hello_1"); in.Status.Admission != resource.AdmissionInService {
		t.Errorf("it is %s before anybody approved", in.Status.Admission)
	}
	told := s.set("hello").Status.ScheduledEvents.Incarnation
	if status, body := metadata(t, http.MethodPost, s.endpointOf("hello_2"), fmt.Sprintf(`{"StartRequests":[{"EventId":%q}]}`, n.EventID)); status != http.StatusOK {
		t.Fatalf("the approval was answered with %d: %s", status, body)
	}
	s.back("hello_1")
	s.marked("hello_1", false)
	if now := s.set("hello").Status.ScheduledEvents; now.Incarnation != told+2 || len(now.Events) != 0 { // started, gone
		t.Errorf("what is told is %+v, was incarnation %d", now, told)
	}
	load.zeroFailed()
}

// Without an approval it goes when its time has come, with nothing to wait for at once.
func TestRedeployWithoutApproval(t *testing.T) {
	s := startBeside(t)
	c := azure("1.0.0")
	c.NeverApprove = true
	s.push("hello:1.0.0", c)
	s.apply(announced(3, "PT4S").yaml())
	load := s.lightTraffic(s.serving(3))
	s.mark("hello_1")
	s.mustDrover("instance", "reimage", "hello_1")
	n := s.underNotice("hello_1").Status.Notice
	in := s.back("hello_1")
	if in.Status.StartedAt.Before(n.NotBefore) {
		t.Errorf("it went %s early", n.NotBefore.Sub(*in.Status.StartedAt))
	}
	s.marked("hello_1", false)
	s.apply(announced(3, "PT0S").yaml())
	before := s.set("hello").Status.ScheduledEvents.Incarnation
	s.mustDrover("instance", "reimage", "hello_2", "--watch")
	if now := s.set("hello").Status.ScheduledEvents.Incarnation; now < before+2 {
		t.Errorf("its event did not come and go: incarnation %d after %d", now, before)
	}
	s.settled("1.0.0", 3)
	load.zeroFailed()
}

// A program with the health check that programs on Azure have goes through a reimage
// as through its end, is not told again once it is back, and stays, also when the
// control process is killed meanwhile.
func TestAzureHealthCheckGoesThroughARedeploy(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", azure("1.0.0"))
	s.apply(announced(3, "PT10M").yaml())
	load := s.startTraffic(s.serving(3))
	s.mark("hello_1")
	s.mustDrover("instance", "reimage", "hello_1")
	s.underNotice("hello_1")
	s.kill()
	time.Sleep(time.Second) // whatever they do now, nobody decides
	s.start()
	in := s.back("hello_1")
	s.marked("hello_1", false)
	says(t, s.told()["hello_1"], "told", "approved")
	time.Sleep(3 * time.Second) // beyond the grace that it gives itself
	if now := s.back("hello_1"); now.Status.PID != in.Status.PID {
		t.Error("it was started again")
	}
	if n := strings.Count(s.told()["hello_1"], "told"); n != 1 {
		t.Errorf("it was told %d times:\n%s", n, s.told()["hello_1"])
	}
	s.settled("1.0.0", 3)
	load.zeroFailed()
	s.noneRefused()
}

// The only instance is restarted as well, with a warning; its requests wait.
func TestRestartOfTheOnlyInstance(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 1, drain: "1s"}.yaml())
	load := s.lightTraffic(s.serving(1))
	_, errs, code := s.drover("instance", "restart", "hello_0", "--watch")
	if code != 0 || !strings.Contains(errs, "warning: no other instance") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	s.settled("1.0.0", 1)
	load.zeroFailed()
}

// One that is deleted is drained, and nobody takes its place.
func TestDeleteOneInstance(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", azure("1.0.0"))
	s.apply(noticed(3, "PT10M").yaml())
	load := s.lightTraffic(s.serving(3))
	says(t, s.mustDrover("instance", "delete", "hello_0"), "instance/hello_0 deleted")
	if set := s.set("hello"); set.Spec.Capacity != 2 {
		t.Errorf("the capacity is %d", set.Spec.Capacity)
	}
	s.settled("1.0.0", 2)
	says(t, s.told()["hello_0"], "told", "approved")
	var names []string
	for _, in := range s.instances() {
		names = append(names, in.Name)
	}
	if got := strings.Join(names, " "); got != "hello_1 hello_2" {
		t.Errorf("left are %s", got)
	}
	load.zeroFailed()
}

// One that does not come back healthy is said so, takes no traffic, and its event is gone.
func TestReimageThatFails(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{FailAfterRequests: 1 << 40})
	p := announced(2, "PT0S")
	p.grace = "2s"
	s.apply(p.yaml())
	load := s.lightTraffic(s.serving(2))
	in := s.instance("hello_1")
	blocked := filepath.Join(s.data, "instances", "hello", "hello_1", "data", "nonces")
	check(t, os.Remove(blocked))
	check(t, os.Mkdir(blocked, 0o755)) // the program cannot write there, and ends
	_, errs, code := s.drover("instance", "reimage", "hello_1", "--watch")
	if code != 1 || !strings.Contains(errs, "Unhealthy") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	now := s.instance("hello_1")
	if now.Status.Admission != resource.AdmissionOut || now.Status.Notice != nil || now.Status.Address != in.Status.Address {
		t.Errorf("it is %+v", now.Status)
	}
	check(t, os.Remove(blocked))
	s.settled("1.0.0", 2)
	if stats := load.end(); stats.Failed > 0 {
		t.Errorf("%d requests failed", stats.Failed)
	}
}
