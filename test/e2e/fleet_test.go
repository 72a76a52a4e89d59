package e2e

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// policy is what the stories vary of a set named hello behind a balancer named front.
type policy struct {
	image        string
	capacity     int
	bake         string
	keep         string
	startTimeout string
	drain        string
	stop         string
	grace        string
	more         string // further lines of the set's spec
	blueGreen    string // further blue/green fields
}

func (p policy) yaml() string {
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&p.image, "hello:1.0.0")
	def(&p.bake, "1s")
	def(&p.keep, "1m")
	def(&p.startTimeout, "30s")
	def(&p.drain, "10s")
	def(&p.stop, "5s")
	def(&p.grace, "10s")
	return fmt.Sprintf(`
kind: ScaleSet
name: hello
spec:
  image: %s
  capacity: %d
  stopTimeout: %s
  health: {path: /healthz, interval: 200ms, timeout: 2s, unhealthyThreshold: 3, gracePeriod: %s}
  upgradePolicy:
    mode: BlueGreen
    blueGreen: {startTimeout: %s, bakeTime: %s, keepPrevious: %s%s}
%s
---
kind: LoadBalancer
name: front
spec: {listen: "127.0.0.1:0", backend: hello, drainTimeout: %s}
`, p.image, p.capacity, p.stop, p.grace, p.startTimeout, p.bake, p.keep, p.blueGreen, p.more, p.drain)
}

func (s *server) set(name string) resource.ScaleSet {
	s.t.Helper()
	return read[resource.ScaleSetSpec, resource.ScaleSetStatus](s, resource.KindScaleSet, name)
}

func (s *server) rollout(name string) resource.Rollout {
	s.t.Helper()
	return read[resource.RolloutSpec, resource.RolloutStatus](s, resource.KindRollout, name)
}

func (s *server) instances() []resource.Instance { return s.instancesOf("") }

// instancesOf a set; an empty name: of all sets.
func (s *server) instancesOf(set string) []resource.Instance {
	s.t.Helper()
	list, err := s.client.List(s.ctx(), resource.KindInstance, client.Filter{Set: set})
	check(s.t, err)
	instances := make([]resource.Instance, len(list.Items))
	for i, d := range list.Items {
		instances[i], err = resource.From[resource.InstanceSpec, resource.InstanceStatus](d)
		check(s.t, err)
	}
	return instances
}

// untouched checks that the same processes run as before, and no others.
func (s *server) untouched(before []resource.Instance) {
	s.t.Helper()
	now := s.instances()
	if len(now) != len(before) {
		s.t.Errorf("%d instances became %d", len(before), len(now))
	}
	for _, old := range before {
		if i := indexOf(now, old.Name); i < 0 || now[i].Status.PID != old.Status.PID || now[i].Status.Restarts != old.Status.Restarts {
			s.t.Errorf("%s, process %d, was touched:\n%s", old.Name, old.Status.PID, s.state())
		}
	}
}

// read is one document as what it is.
func read[S, T any](s *server, kind, name string) resource.Object[S, T] {
	s.t.Helper()
	d, err := s.client.Get(s.ctx(), kind, name)
	check(s.t, err)
	o, err := resource.From[S, T](d)
	check(s.t, err)
	return o
}

// serving waits until n instances of hello take traffic, and no other, and returns
// the address of the balancer.
func (s *server) serving(n int) (address string) {
	s.t.Helper()
	s.eventually(40*time.Second, fmt.Sprintf("%d instances serve", n), func() (bool, error) {
		in := 0
		for _, i := range s.instances() {
			switch i.Status.Admission {
			case resource.AdmissionInService:
				in++
			case resource.AdmissionDraining:
				return false, nil
			}
		}
		return in == n, nil
	})
	return s.address("front")
}

// address waits until a balancer listens.
func (s *server) address(balancer string) (address string) {
	s.t.Helper()
	s.eventually(10*time.Second, balancer+" listens", func() (bool, error) {
		address = read[resource.LoadBalancerSpec, resource.LoadBalancerStatus](s, resource.KindLoadBalancer, balancer).Status.Address
		return address != "", nil
	})
	return address
}

// roll starts a rollout and returns its name.
func (s *server) roll(image string) string {
	s.t.Helper()
	r, err := s.client.StartRollout(s.ctx(), "hello", client.RolloutRequest{Image: image})
	check(s.t, err)
	return r.Name
}

// reaches waits until the rollout is in the phase, or past it.
func (s *server) reaches(rollout string, phase resource.RolloutPhase) {
	s.t.Helper()
	s.eventually(time.Minute, rollout+" reaches "+string(phase), func() (bool, error) {
		r := s.rollout(rollout)
		for _, step := range r.Status.Report.Steps {
			if step.Name == string(phase) {
				return true, nil
			}
		}
		if r.Status.Phase.Terminal() && r.Status.Phase != phase {
			return false, fmt.Errorf("it ended %s: %s", r.Status.Phase, r.Status.Reason)
		}
		return r.Status.Phase == phase, nil
	})
}

// ends waits for the rollout's end and checks how it ended.
func (s *server) ends(rollout string, want resource.RolloutPhase) resource.Rollout {
	s.t.Helper()
	var r resource.Rollout
	s.eventually(2*time.Minute, rollout+" ends", func() (bool, error) {
		r = s.rollout(rollout)
		return r.Status.Phase.Terminal(), nil
	})
	if r.Status.Phase != want {
		s.t.Fatalf("rollout %s ended %s (%s), not %s\n%s", rollout, r.Status.Phase, r.Status.Reason, want, s.state())
	}
	return r
}

// endsEitherWay watches a rollout that may succeed or go back until it has.
func (s *server) endsEitherWay(rollout string, watch func()) {
	s.t.Helper()
	s.eventually(time.Minute, rollout+" ends", func() (bool, error) {
		watch()
		return s.rollout(rollout).Status.Phase.Terminal(), nil
	})
	if r := s.rollout(rollout); r.Status.Phase != resource.RolloutSucceeded && r.Status.Phase != resource.RolloutRolledBack {
		s.t.Errorf("%s ended %s: %s", rollout, r.Status.Phase, r.Status.Reason)
	}
}

// holdShifting brings a rollout that is Starting to Shifting and keeps it there
// until release is called: a gateway that is stopped confirms nothing.
func (s *server) holdShifting(rollout string) (release func()) {
	s.t.Helper()
	s.reaches(rollout, resource.RolloutStarting)
	s.mustDrover("rollout", "pause", "hello")
	s.reaches(rollout, resource.RolloutPaused)
	fresh := s.rollout(rollout).Status.NewColour
	s.eventually(20*time.Second, "the new instances are healthy", func() (bool, error) {
		n := 0
		for _, in := range s.instances() {
			if in.Status.Colour == fresh && in.Status.Health == resource.HealthHealthy {
				n++
			}
		}
		return n == s.set("hello").Spec.Capacity, nil
	})
	pid := s.gatewayPID()
	check(s.t, syscall.Kill(pid, syscall.SIGSTOP))
	release = sync.OnceFunc(func() { syscall.Kill(pid, syscall.SIGCONT) })
	s.t.Cleanup(release)
	s.mustDrover("rollout", "resume", "hello")
	s.reaches(rollout, resource.RolloutShifting)
	return release
}

// settled checks that the set serves one version and that nothing is left over.
func (s *server) settled(version string, capacity int) {
	s.t.Helper()
	s.servesVersion(version, capacity)
	s.noLeaks()
}

// servesVersion checks that the set serves one version with its capacity and that nothing
// else of it is there but, perhaps, the kept colour.
func (s *server) servesVersion(version string, capacity int) {
	s.t.Helper()
	s.eventually(40*time.Second, fmt.Sprintf("%d of version %s serve and nothing is left over", capacity, version), func() (bool, error) {
		set := s.set("hello")
		in, kept, other := 0, 0, 0
		for _, i := range s.instances() {
			switch {
			case i.Status.Colour == set.Status.Colour && i.Status.Version == version && i.Status.Admission == resource.AdmissionInService && i.Status.Health == resource.HealthHealthy:
				in++
			case set.Status.Previous != nil && i.Status.Colour == set.Status.Previous.Colour && i.Status.Admission == resource.AdmissionOut:
				kept++
			default:
				other++
			}
		}
		if set.Status.Rollout != "" || set.Status.Model == nil || set.Status.Model.Version != version {
			return false, nil
		}
		return in == capacity && other == 0 && (kept == 0 || kept == capacity), nil
	})
}

func version(ref string) string {
	_, v, _ := strings.Cut(ref, ":")
	return v
}
