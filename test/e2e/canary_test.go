package e2e

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// Each step gives the new version its share, counted at the workloads themselves,
// and no request is lost.
func TestCanarySharesTheTraffic(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	hold := time.Duration(size(6, 30)) * time.Second
	canary := fmt.Sprintf(", maxP99Ratio: 50, canary: [{percent: 10, hold: %s}, {percent: 50, hold: %s}]", hold, hold)
	s.apply(policy{capacity: 3, drain: "2s", blueGreen: canary}.yaml())
	load := s.startTraffic(s.serving(3))
	rollout := s.roll("hello:2.0.0")
	for step, percent := range []int{10, 50} {
		s.inCanaryStep(rollout, step)
		want := map[string]float64{"1.0.0": float64(100 - percent), "2.0.0": float64(percent)}
		if got := s.rollout(rollout).Status.Weights; got["1.0.0"] != want["1.0.0"] || got["2.0.0"] != want["2.0.0"] {
			t.Errorf("step %d: the rollout says %v, not %v", step, got, want)
		}
		s.sharing(rollout).is(float64(percent), 1000)
	}
	r := s.ends(rollout, resource.RolloutSucceeded)
	if r.Status.Weights["2.0.0"] != 100 || len(r.Status.Weights) != 1 {
		t.Errorf("at its end it says %v", r.Status.Weights)
	}
	says(t, stepsOf(r), "canary 10 % for "+resource.Duration(hold).String()+": 0.0% of", "canary 50 %", "p99", "all traffic")
	s.settled("2.0.0", 3)
	load.zeroFailed()
}

// inCanaryStep waits until a step's window has begun: every gateway has its weights.
func (s *server) inCanaryStep(rollout string, step int) {
	s.t.Helper()
	s.eventually(time.Minute, fmt.Sprintf("canary step %d runs", step), func() (bool, error) {
		r := s.rollout(rollout)
		if r.Status.Phase.Terminal() {
			return false, fmt.Errorf("it ended %s: %s", r.Status.Phase, r.Status.Reason)
		}
		c := r.Status.Canary
		return c != nil && c.Step == step && c.Since != nil, nil
	})
}

// sharing counts at the workloads themselves which colour handles how much.
type sharing struct {
	s      *server
	fresh  resource.Colour
	colour map[string]resource.Colour // of instances
}

func (s *server) sharing(rollout string) sharing {
	s.t.Helper()
	sh := sharing{s: s, fresh: s.rollout(rollout).Status.NewColour, colour: map[string]resource.Colour{}}
	for _, in := range s.instances() {
		sh.colour[in.Name] = in.Status.Colour
	}
	return sh
}

func (sh sharing) handled() (all, byNew int) {
	for instance, nonces := range sh.s.noncesByInstance() {
		all += len(nonces)
		if sh.colour[instance] == sh.fresh {
			byNew += len(nonces)
		}
	}
	return all, byNew
}

// is waits for that many requests and checks how many of them the new colour got.
func (sh sharing) is(percent float64, least int) {
	sh.s.t.Helper()
	all, byNew := sh.handled()
	sh.s.eventually(30*time.Second, fmt.Sprintf("%d requests were handled", least), func() (bool, error) {
		nowAll, nowNew := sh.handled()
		if nowAll < all+least {
			return false, nil
		}
		all, byNew = nowAll-all, nowNew-byNew
		return true, nil
	})
	if share := 100 * float64(byNew) / float64(all); math.Abs(share-percent) > 2 {
		sh.s.t.Errorf("the new colour handled %d of %d requests, which is %.1f %% and not %v %%", byNew, all, share, percent)
	}
}

// stepsOf are the details of a rollout's steps.
func stepsOf(r resource.Rollout) string {
	var lines []string
	for _, step := range r.Status.Report.Steps {
		lines = append(lines, step.Name+": "+step.Detail)
	}
	return strings.Join(lines, "\n")
}

// A version with errors is seen at its small share, and goes back before it had more.
func TestCanaryWithErrorsGoesBack(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{ErrorEvery: 3})
	s.apply(policy{capacity: 2, drain: "1s", blueGreen: ", canary: [{percent: 20, hold: 1m}, {percent: 60, hold: 1m}]"}.yaml())
	load := s.startTraffic(s.serving(2))
	r := s.ends(s.roll("hello:2.0.0"), resource.RolloutRolledBack)
	says(t, r.Status.Reason, "version 2.0.0 at 20 %", "maxErrorRate")
	if strings.Contains(stepsOf(r), "canary 60 %") {
		t.Errorf("it had more than its first share:\n%s", stepsOf(r))
	}
	s.settled("1.0.0", 2)
	s.knownBadVersion("2.0.0")
	load.reached("1.0.0")
	stats := load.end()
	if stats.Failed > 0 || stats.ByVersion["2.0.0"] == 0 || stats.ByVersion["2.0.0"]*2 > stats.ByVersion["1.0.0"] {
		t.Errorf("%d failed, answered by %v:\n%s", stats.Failed, stats.ByVersion, listed(stats.Failures))
	}
	load.nothingTwice()
}

// A slow version is seen at the end of its step, against the old one in the same window.
func TestSlowCanaryGoesBack(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{DelayMs: 500})
	s.apply(policy{capacity: 1, drain: "2s", blueGreen: ", minSample: 40, maxP99Ratio: 2, canary: [{percent: 25, hold: 4s}]"}.yaml())
	load := s.startTrafficWith(load.Options{Address: s.serving(1), Connections: 32, Rate: 100}, 1)
	r := s.ends(s.roll("hello:2.0.0"), resource.RolloutRolledBack)
	says(t, r.Status.Reason, "version 2.0.0 at 25 %", "p99", "maxP99Ratio allows 2")
	s.settled("1.0.0", 1)
	s.knownBadVersion("2.0.0")
	load.zeroFailed()
}

// Too little traffic is said, and goes on or goes back as the policy says.
func TestInconclusiveCanary(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.push("hello:3.0.0", sample.Config{})
	step := ", canary: [{percent: 10, hold: 300ms}]"
	s.apply(policy{capacity: 1, drain: "1s", bake: "200ms", blueGreen: step}.yaml())
	s.serving(1)
	r := s.ends(s.roll("hello:2.0.0"), resource.RolloutSucceeded)
	says(t, stepsOf(r), "canary 10 % for 300ms: Inconclusive: 0 requests to the new version are fewer than 100 (minSample)")
	s.apply(policy{image: "hello:3.0.0", capacity: 1, drain: "1s", blueGreen: step + ", requireAnalysis: true"}.yaml())
	r = s.ends(s.set("hello").Status.Rollout, resource.RolloutRolledBack)
	says(t, r.Status.Reason, "canary 10 %", "inconclusive", "requireAnalysis", "minSample")
	if bad := s.set("hello").Status.BadModels; len(bad) != 0 {
		t.Errorf("nothing was found out, and yet %s is bad", bad[0].Model.Image)
	}
	s.settled("2.0.0", 1)
}

// Until somebody promotes it, the new version is reached by the preview alone; then
// it gets the traffic, and the preview is gone.
func TestPromotionAndPreview(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.apply(policy{capacity: 2, drain: "1s", blueGreen: ", promotion: Manual, preview: {listen: '127.0.0.1:0'}"}.yaml())
	traffic := s.startTraffic(s.serving(2))
	rollout := s.roll("hello:2.0.0")
	if _, errs, code := s.drover("rollout", "promote", rollout); code != 1 {
		t.Errorf("promoted before it waits for that: %s", errs)
	}
	s.awaitsPromotion(rollout)
	r := s.rollout(rollout)
	if left := time.Until(*r.Status.PausedUntil); left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("it waits for %s", left)
	}
	if _, errs, code := s.drover("rollout", "resume", rollout); code != 1 || !strings.Contains(errs, "rollout promote") {
		t.Errorf("resume: exit %d: %s", code, errs)
	}
	address := r.Status.Preview
	preview := load.New(load.Options{Address: address, Connections: 4, Rate: 200})
	s.loadFor(preview, time.Second)
	if seen := preview.Stats(); seen.Failed > 0 || seen.ByVersion["2.0.0"] == 0 || len(seen.ByVersion) != 1 {
		t.Errorf("the preview answered %v, %d failed: %v", seen.ByVersion, seen.Failed, seen.Failures)
	}
	if now := traffic.g.Stats().ByVersion; now["2.0.0"] > 0 {
		t.Fatalf("users were answered by %v", now)
	}
	if counted := `drover_gateway_requests_total{set="hello",version="2.0.0"} 0`; !strings.Contains(s.metrics(), counted) {
		t.Error("what the preview was asked is counted as traffic of 2.0.0")
	}
	says(t, s.mustDrover("rollout", "status", "hello"), "http://"+address, "drover rollout promote hello")
	s.mustDrover("rollout", "promote", "hello", "--watch")
	r = s.ends(rollout, resource.RolloutSucceeded)
	says(t, stepsOf(r), "Paused: waits for", "promoted by")
	s.settled("2.0.0", 2)
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("the preview is still there")
	}
	traffic.reached("2.0.0")
	traffic.zeroFailed()
}

func (s *server) awaitsPromotion(rollout string) {
	s.t.Helper()
	s.eventually(time.Minute, rollout+" waits for its promotion", func() (bool, error) {
		st := s.rollout(rollout).Status
		if st.Phase.Terminal() {
			return false, fmt.Errorf("it ended %s: %s", st.Phase, st.Reason)
		}
		return st.AwaitsPromotion && st.Phase == resource.RolloutPaused, nil
	})
}

// loadFor keeps a load up for a while.
func (s *server) loadFor(g *load.Generator, d time.Duration) {
	ctx, cancel := context.WithTimeout(s.ctx(), d)
	defer cancel()
	g.Run(ctx)
}

// A promotion that nobody gives in time ends the rollout; the users never see the
// new version, and it is not bad.
func TestPromotionThatIsNotGiven(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.apply(policy{capacity: 1, drain: "1s", blueGreen: ", promotion: Manual, canary: [{percent: 10, hold: 10s}]"}.yaml())
	traffic := s.startTraffic(s.serving(1))
	rollout := s.roll("hello:2.0.0")
	s.awaitsPromotion(rollout)
	s.mustDrover("rollout", "pause", "hello", "--for", "48h") // it waits no longer for that
	if until := s.rollout(rollout).Status.PausedUntil; time.Until(*until) > 24*time.Hour {
		t.Errorf("it waits until %s", until)
	}
	s.mustDrover("rollout", "pause", "hello", "--for", "500ms")
	r := s.ends(rollout, resource.RolloutCancelled)
	says(t, r.Status.Reason, "not promoted in time")
	s.settled("1.0.0", 1)
	if bad := s.set("hello").Status.BadModels; len(bad) != 0 {
		t.Errorf("%s is remembered as bad", bad[0].Model.Image)
	}
	if _, errs, code := s.drover("rollout", "promote", rollout); code != 1 || !strings.Contains(errs, "it has ended") {
		t.Errorf("promoted afterwards: exit %d: %s", code, errs)
	}
	if seen := traffic.g.Stats().ByVersion; seen["2.0.0"] > 0 {
		t.Errorf("users were answered by %v", seen)
	}
	traffic.zeroFailed()
}

// Every new instance is asked once, and gets traffic when it answers as expected;
// also those that a scale-out makes.
func TestValidation(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{SelfTest: http.StatusNoContent})
	s.push("hello:2.0.0", sample.Config{SelfTest: http.StatusNoContent})
	s.push("hello:3.0.0", sample.Config{SelfTest: http.StatusFound}) // to where 200 is answered
	validate := ", validate: {path: /selftest, expect: 204, timeout: 5s}"
	s.apply(policy{capacity: 2, drain: "1s", blueGreen: validate}.yaml())
	traffic := s.startTraffic(s.serving(2))
	r := s.ends(s.roll("hello:2.0.0"), resource.RolloutSucceeded)
	says(t, stepsOf(r), "Validating: GET /selftest")
	s.mustDrover("scale", "hello", "3")
	s.settled("2.0.0", 3)
	for _, in := range s.instances() {
		if in.Status.Admission != resource.AdmissionInService {
			continue // kept
		}
		if n := s.noncesOf(in.Name)["GET selftest"]; n != 1 || in.Status.Validated == nil || !in.Status.Validated.Passed {
			t.Errorf("%s was asked %d times: %+v", in.Name, n, in.Status.Validated)
		}
	}
	r = s.ends(s.roll("hello:3.0.0"), resource.RolloutRolledBack)
	says(t, r.Status.Reason, "validation", "GET /selftest answered 302, not 204")
	s.settled("2.0.0", 3)
	s.knownBadVersion("3.0.0")
	if seen := traffic.g.Stats().ByVersion; seen["3.0.0"] > 0 {
		t.Errorf("users were answered by %v", seen)
	}
	traffic.zeroFailed()
}

// Outside of a rollout nothing goes back: the instance takes no traffic, and the set says so.
func TestValidationOfAScaleOut(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{SelfTest: http.StatusTeapot})
	s.apply(policy{capacity: 1, drain: "1s"}.yaml())
	traffic := s.startTraffic(s.serving(1))
	s.apply(policy{capacity: 2, drain: "1s", blueGreen: ", validate: {path: /selftest}"}.yaml())
	s.eventually(20*time.Second, "the set says why the new one does not serve", func() (bool, error) {
		c := resource.FindCondition(s.set("hello").Status.Conditions, resource.ConditionValidationFailed)
		return c != nil && strings.Contains(c.Message, "hello_1: GET /selftest answered 418, not 200"), nil
	})
	s.serving(1)
	s.apply(policy{capacity: 2, drain: "1s", blueGreen: ", validate: {path: /selftest, expect: 418}"}.yaml())
	s.settled("1.0.0", 2) // it is asked for what the spec says now
	if c := resource.FindCondition(s.set("hello").Status.Conditions, resource.ConditionValidationFailed); c != nil {
		t.Errorf("the set still says %q", c.Message)
	}
	traffic.zeroFailed()
}

// A preview that cannot listen is said, and hinders nothing.
func TestPreviewWithoutAPort(t *testing.T) {
	s := startBeside(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer taken.Close()
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.apply(policy{capacity: 1, drain: "1s", blueGreen: fmt.Sprintf(", promotion: Manual, preview: {listen: '%s'}", taken.Addr())}.yaml())
	s.serving(1)
	rollout := s.roll("hello:2.0.0")
	s.awaitsPromotion(rollout)
	s.eventually(10*time.Second, "it warns", func() (bool, error) {
		return strings.Contains(strings.Join(s.rollout(rollout).Status.Warnings, "\n"), "the preview cannot listen on "+taken.Addr().String()), nil
	})
	s.mustDrover("rollout", "promote", "hello")
	s.ends(rollout, resource.RolloutSucceeded)
	s.settled("2.0.0", 1)
}

// The control process and the gateway are killed within a step: what was counted is
// lost, which makes it inconclusive and not a failure.
func TestKillsWithinACanaryStep(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:2.0.0", sample.Config{})
	s.apply(policy{capacity: 2, drain: "1s", blueGreen: ", minSample: 20, canary: [{percent: 20, hold: 6s}, {percent: 40, hold: 3s}]"}.yaml())
	traffic := s.startTrafficWith(load.Options{Address: s.serving(2), Connections: 32, Rate: 400, Reconnect: true}, 0)
	rollout := s.roll("hello:2.0.0")
	s.inCanaryStep(rollout, 0)
	share := s.sharing(rollout)
	s.kill()
	share.is(20, 400)
	s.start()
	traffic.killGateway()
	s.inCanaryStep(rollout, 1)
	share.is(40, 400)
	r := s.ends(rollout, resource.RolloutSucceeded)
	says(t, stepsOf(r), "canary 20 % for 6s: Inconclusive: the gateway was started anew", "canary 40 % for 3s: 0.0% of")
	s.settled("2.0.0", 2)
	traffic.lostOnlyInFlight()
}
