package e2e

import (
	"fmt"
	"strings"
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
	d, err := s.client.Get(s.ctx(), resource.KindScaleSet, name)
	check(s.t, err)
	set, err := resource.From[resource.ScaleSetSpec, resource.ScaleSetStatus](d)
	check(s.t, err)
	return set
}

func (s *server) rollout(name string) resource.Rollout {
	s.t.Helper()
	d, err := s.client.Get(s.ctx(), resource.KindRollout, name)
	check(s.t, err)
	r, err := resource.From[resource.RolloutSpec, resource.RolloutStatus](d)
	check(s.t, err)
	return r
}

func (s *server) instances() []resource.Instance {
	s.t.Helper()
	list, err := s.client.List(s.ctx(), resource.KindInstance, client.Filter{})
	check(s.t, err)
	var out []resource.Instance
	for _, d := range list.Items {
		in, err := resource.From[resource.InstanceSpec, resource.InstanceStatus](d)
		check(s.t, err)
		out = append(out, in)
	}
	return out
}

// serving waits until n instances of hello take traffic, and no other, and returns
// the address of the balancer.
func (s *server) serving(n int) (address string) {
	s.t.Helper()
	s.eventually(40*time.Second, fmt.Sprintf("%d instances serve", n), func() (bool, error) {
		d, err := s.client.Get(s.ctx(), resource.KindLoadBalancer, "front")
		if err != nil {
			return false, err
		}
		lb, err := resource.From[resource.LoadBalancerSpec, resource.LoadBalancerStatus](d)
		if err != nil {
			return false, err
		}
		address = lb.Status.Address
		in := 0
		for _, i := range s.instances() {
			switch i.Status.Admission {
			case resource.AdmissionInService:
				in++
			case resource.AdmissionDraining:
				return false, nil
			}
		}
		return address != "" && in == n, nil
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

// settled checks that the set serves one version with its capacity and that
// nothing else of it is there but, perhaps, the kept colour.
func (s *server) settled(version string, capacity int) {
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
	s.noLeaks()
}

// noLeaks compares processes and folders with the documents: none missing, none over.
func (s *server) noLeaks() {
	s.t.Helper()
	s.eventually(20*time.Second, "processes and folders are those of the documents", func() (bool, error) {
		want := map[string]bool{}
		ports := map[string]string{}
		for _, in := range s.instances() {
			want[in.Name] = true
			if a := in.Status.Address; a != "" {
				if ports[a] != "" {
					return false, fmt.Errorf("%s and %s have the address %s", in.Name, ports[a], a)
				}
				ports[a] = in.Name
			}
		}
		running := map[string]int{}
		for _, p := range s.processes() {
			running[p.instance]++
		}
		for _, folder := range s.folders() {
			if !want[folder] {
				return false, nil
			}
		}
		for name := range running {
			if !want[name] {
				return false, nil
			}
		}
		for name := range want {
			if running[name] > 1 {
				return false, fmt.Errorf("%s runs %d times", name, running[name])
			}
			if running[name] == 0 {
				return false, nil
			}
		}
		return len(s.folders()) == len(want), nil
	})
}

func version(ref string) string {
	_, v, _ := strings.Cut(ref, ":")
	return v
}
