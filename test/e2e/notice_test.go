package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// noticed is a set whose instances are told before they are deleted.
func noticed(capacity int, wait string) policy {
	return policy{capacity: capacity, drain: "2s", more: "  terminateNotification: {enable: true, notBeforeTimeout: " + wait + "}"}
}

// azure is a version with the health check that programs on Azure have.
func azure(version string) sample.Config {
	return sample.Config{Version: version, AzureGraceMs: 500}
}

// told are the notes of each instance about what it was told and did.
func (s *server) told() map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"instances/*/*/data/told", "retired/*/told"} {
		files, err := filepath.Glob(filepath.Join(s.data, pattern))
		check(s.t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				continue // it has just gone to retired
			}
			all[filepath.Base(strings.TrimSuffix(filepath.Dir(file), "/data"))] = string(text)
		}
	}
	return all
}

// noneRefused checks that no instance had a metadata call that failed.
func (s *server) noneRefused() {
	s.t.Helper()
	for name, text := range s.told() {
		if strings.Contains(text, "failed") {
			s.t.Errorf("metadata calls of %s failed:\n%s", name, tail(text, 1000))
		}
	}
}

// gone waits until an instance is, and says how long that took.
func (s *server) gone(limit time.Duration, names ...string) (took time.Duration) {
	s.t.Helper()
	began := time.Now()
	s.eventually(limit, strings.Join(names, ", ")+" gone", func() (bool, error) {
		for _, in := range s.instances() {
			for _, name := range names {
				if in.Name == name {
					return false, nil
				}
			}
		}
		return true, nil
	})
	return time.Since(began)
}

// underNotice waits until an instance is, and returns its document.
func (s *server) underNotice(name string) (found resource.Instance) {
	s.t.Helper()
	s.eventually(20*time.Second, name+" under notice", func() (bool, error) {
		found = read[resource.InstanceSpec, resource.InstanceStatus](s, resource.KindInstance, name)
		return found.Status.Notice != nil, nil
	})
	return found
}

// A program written for Azure's metadata service leaves without a failed request:
// it is told, answers on, fails its probe, approves from within it, and goes, also
// while the control process is killed and started again.
func TestAzureHealthCheckLeavesUnderLoad(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", azure("1.0.0"))
	s.apply(noticed(4, "PT10M").yaml())
	load := s.startTraffic(s.serving(4))
	s.mustDrover("scale", "hello", "3")
	s.gone(30*time.Second, "hello_3")
	s.settled("1.0.0", 3)

	s.mustDrover("scale", "hello", "1")
	s.underNotice("hello_2")
	s.kill()
	time.Sleep(time.Second) // whatever they do now, nobody decides
	s.start()
	s.gone(30*time.Second, "hello_1", "hello_2")
	s.settled("1.0.0", 1)
	load.zeroFailed()
	for _, name := range []string{"hello_1", "hello_2", "hello_3"} {
		says(t, s.told()[name], "told", "approved")
	}
	if text := s.told()["hello_0"]; text != "" {
		t.Errorf("hello_0 stays, and noted: %s", text)
	}
	s.noneRefused()
}

// An instance that does not approve goes when its time has come; with none to wait
// for, it is told and goes.
func TestNoticeWithoutApproval(t *testing.T) {
	s := startBeside(t)
	c := azure("1.0.0")
	c.NeverApprove = true
	s.push("hello:1.0.0", c)
	s.apply(noticed(3, "PT4S").yaml())
	load := s.lightTraffic(s.serving(3))
	s.mustDrover("scale", "hello", "2")
	n := s.underNotice("hello_2").Status.Notice
	if wait := n.NotBefore.Sub(n.Since); wait != 4*time.Second || n.Type != resource.EventTerminate {
		t.Errorf("the notice is %+v", n)
	}
	s.gone(30*time.Second, "hello_2")
	if now := time.Now(); now.Before(n.NotBefore) {
		t.Errorf("it went %s early", n.NotBefore.Sub(now))
	}
	s.apply(noticed(2, "PT0S").yaml())
	before := s.set("hello").Status.ScheduledEvents.Incarnation
	s.mustDrover("scale", "hello", "1")
	if took := s.gone(30*time.Second, "hello_1"); took > 4*time.Second {
		t.Errorf("it took %s, with nothing to wait for", took)
	}
	s.settled("1.0.0", 1)
	s.eventually(5*time.Second, "its event came and went", func() (bool, error) {
		told := s.set("hello").Status.ScheduledEvents
		return told.Incarnation >= before+2 && len(told.Events) == 0, nil
	})
	load.zeroFailed()
}

// Who never took traffic is not told, and deleted at once.
func TestNoNoticeForWhoNeverServed(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", azure("1.0.0"))
	s.push("hello:2.0.0", sample.Config{NeverHealthy: true})
	p := noticed(2, "PT10M")
	p.grace = "1s"
	s.apply(p.yaml())
	load := s.lightTraffic(s.serving(2))
	s.ends(s.roll("hello:2.0.0"), resource.RolloutRolledBack)
	s.settled("1.0.0", 2)
	s.gone(10*time.Second, "hello_2", "hello_3")
	if told := s.set("hello").Status.ScheduledEvents; told != nil {
		t.Errorf("they were told %+v", told)
	}
	load.zeroFailed()
}

// A rollout does not end later for a notice, the next one waits until the previous
// colour has gone and says so, and nobody under notice is called back.
func TestRolloutWaitsForThePreviousColour(t *testing.T) {
	s := startBeside(t)
	for _, v := range []string{"1.0.0", "2.0.0", "3.0.0"} {
		c := azure(v)
		c.NeverApprove = true
		s.push("hello:"+v, c)
	}
	p := noticed(2, "PT8S")
	p.bake, p.keep = "100ms", "100ms"
	s.apply(p.yaml())
	load := s.lightTraffic(s.serving(2))
	s.ends(s.roll("hello:2.0.0"), resource.RolloutSucceeded)
	over := s.underNotice("hello_0").Status.Notice.NotBefore
	next := s.roll("hello:3.0.0")
	var r resource.Rollout
	s.eventually(5*time.Second, "the rollout says what it waits for", func() (bool, error) {
		r = s.rollout(next)
		return strings.Contains(r.Status.Step, "under notice"), nil
	})
	if r.Status.Phase != resource.RolloutPending {
		t.Errorf("it is %s (%s)", r.Status.Phase, r.Status.Step)
	}
	says(t, r.Status.Step, "2 instances", over.UTC().Format("15:04:05"))
	r = s.ends(next, resource.RolloutSucceeded)
	for _, step := range r.Status.Report.Steps {
		if step.Name == string(resource.RolloutStarting) && step.StartedAt.Before(over) {
			t.Errorf("it started %s before the notice was over", over.Sub(step.StartedAt))
		}
	}
	s.settled("3.0.0", 2)
	load.zeroFailed()
}

// A rollback that finds the kept colour under notice makes new instances at once.
func TestRollbackDoesNotWaitForNotices(t *testing.T) {
	s := startBeside(t)
	for _, v := range []string{"1.0.0", "2.0.0"} {
		s.push("hello:"+v, sample.Config{})
	}
	p := noticed(2, "PT10M")
	p.bake, p.keep = "100ms", "100ms"
	s.apply(p.yaml())
	load := s.lightTraffic(s.serving(2))
	s.ends(s.roll("hello:2.0.0"), resource.RolloutSucceeded)
	s.underNotice("hello_1")
	s.mustDrover("rollout", "rollback", "hello", "--watch")
	for _, in := range s.instances() {
		serves := in.Status.Admission == resource.AdmissionInService
		if again := in.Name == "hello_0" || in.Name == "hello_1"; serves && (again || in.Status.Version != "1.0.0") {
			t.Errorf("%s of version %s takes traffic", in.Name, in.Status.Version)
		}
	}
	load.reached("1.0.0")
	load.zeroFailed()
}

// An approval that was answered is kept, whoever is killed after it.
func TestApprovalSurvives(t *testing.T) {
	for name, test := range map[string]struct{ before, after func(*server) }{
		"the control was dead":     {(*server).kill, (*server).start},
		"both were":                {(*server).kill, func(s *server) { s.killGateway(); s.start() }},
		"the gateway died unheard": {(*server).halt, func(s *server) { s.killGateway(); s.proceed() }},
	} {
		t.Run(name, func(t *testing.T) {
			s := startBeside(t)
			s.push("hello:1.0.0", sample.Config{})
			s.apply(noticed(2, "PT10M").yaml())
			s.serving(2)
			s.mustDrover("scale", "hello", "1")
			event := s.underNotice("hello_1").Status.Notice.EventID
			endpoint := s.endpointOf("hello_0") // any instance of the set may
			s.eventually(5*time.Second, "the instance is told", func() (bool, error) {
				_, body := metadata(t, http.MethodGet, endpoint, "")
				return strings.Contains(body, event), nil
			})
			test.before(s)
			status, body := metadata(t, http.MethodPost, endpoint, fmt.Sprintf(`{"StartRequests":[{"EventId":%q}]}`, event))
			if status != http.StatusOK {
				t.Fatalf("the approval was answered with %d: %s", status, body)
			}
			test.after(s)
			s.gone(20*time.Second, "hello_1")
			s.settled("1.0.0", 1)
			s.eventually(5*time.Second, "the event goes after the instance, at the same endpoint", func() (bool, error) {
				status, body := metadata(t, http.MethodGet, endpoint, "")
				return status == http.StatusOK && !strings.Contains(body, event), nil
			})
		})
	}
}

func (s *server) killGateway() {
	s.t.Helper()
	check(s.t, syscall.Kill(s.gatewayPID(), syscall.SIGKILL))
}

// halt keeps the control process from doing anything until it may proceed.
func (s *server) halt() {
	s.t.Helper()
	check(s.t, s.cmd.Process.Signal(syscall.SIGSTOP))
	s.t.Cleanup(func() { s.cmd.Process.Signal(syscall.SIGCONT) })
}

func (s *server) proceed() {
	s.t.Helper()
	check(s.t, s.cmd.Process.Signal(syscall.SIGCONT))
}

// Calls during a gateway's replacement wait in the socket that the control process holds.
func TestMetadataWhileTheGatewayIsReplaced(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(noticed(1, "PT1M").yaml())
	s.serving(1)
	endpoint := s.endpointOf("hello_0")
	for range size(5, 50) {
		s.killGateway()
		if status, body := metadata(t, http.MethodGet, endpoint, ""); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
}

// Nothing that opens the metadata endpoint is in a document, a list, a log or an
// error, and nobody else is given its port.
func TestMetadataSecretsStaySecret(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(noticed(2, "PT1M").yaml())
	s.serving(2)
	own, other := s.endpointOf("hello_0"), s.endpointOf("hello_1")
	base, secret, _ := strings.Cut(strings.TrimPrefix(own, "http://"), "/")
	if own == other || !strings.HasPrefix(other, "http://"+base+"/") || strings.HasSuffix(own, "/") || len(secret) < 32 {
		t.Errorf("endpoints %q and %q", own, other)
	}
	if status, _ := metadata(t, http.MethodGet, "http://"+base+"/"+strings.Repeat("0", len(secret)), ""); status != http.StatusNotFound {
		t.Errorf("a wrong secret is answered with %d", status)
	}
	metadata(t, http.MethodPost, own, `{"StartRequests":[{"EventId":"none"}]}`)
	s.apply("kind: LoadBalancer\nname: thief\nspec: {listen: \"" + base + "\", backend: hello}\n")
	thief := func() string { return s.mustDrover("get", "loadbalancer", "thief", "-o", "json") }
	s.eventually(10*time.Second, "the load balancer is refused the port", func() (bool, error) { return strings.Contains(thief(), "annot listen"), nil })
	for _, text := range []string{
		s.log.String(), s.state(), s.metrics(), thief(),
		s.mustDrover("get", "instances", "-o", "json"), s.mustDrover("describe", "instance", "hello_0"), s.mustDrover("logs", "hello_0"),
		s.dataFile("run/gateway.log"),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the secret is in: %s", tail(text, 500))
		}
	}
}

func (s *server) dataFile(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data, name))
	check(s.t, err)
	return string(text)
}

// endpointOf is an instance's own IMDS_ENDPOINT, as its program has it.
func (s *server) endpointOf(instance string) string {
	s.t.Helper()
	in := read[resource.InstanceSpec, resource.InstanceStatus](s, resource.KindInstance, instance)
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", in.Status.PID))
	check(s.t, err)
	for v := range strings.SplitSeq(string(env), "\x00") {
		if endpoint, ok := strings.CutPrefix(v, "IMDS_ENDPOINT="); ok {
			return endpoint
		}
	}
	s.t.Fatalf("%s has no IMDS_ENDPOINT", instance)
	return ""
}

// metadata asks for the scheduled events, or approves some, once and without a retry.
func metadata(t *testing.T, method, endpoint, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest(method, endpoint+"/metadata/scheduledevents?api-version=2020-07-01", strings.NewReader(body))
	check(t, err)
	req.Header.Set("Metadata", "true")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	resp, err := client.Do(req)
	check(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, string(text)
}
