package control

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// build makes the snapshot that the documents ask for. Balancers name the
// sockets that they need; whether those exist is not its matter. It is pure.
func build(d documents, hints map[string][]string) wire.Snapshot {
	w := wire.Snapshot{Generation: d.revision}
	bySet := map[string][]wire.Instance{}
	for _, name := range slices.Sorted(maps.Keys(d.instances)) {
		i := d.instances[name]
		bySet[i.Status.Set] = append(bySet[i.Status.Set], instanceOf(i))
	}
	for _, name := range slices.Sorted(maps.Keys(d.sets)) {
		w.Sets = append(w.Sets, wire.Set{
			Name:      name,
			Check:     checkOf(d.sets[name].Spec.Health),
			Weights:   d.sets[name].Status.Weights,
			Instances: bySet[name],
		})
		delete(bySet, name)
	}
	// Instances whose set is gone already still have requests to finish.
	for _, name := range slices.Sorted(maps.Keys(bySet)) {
		w.Sets = append(w.Sets, wire.Set{Name: name, Instances: bySet[name]})
	}
	slices.SortFunc(w.Sets, func(a, b wire.Set) int { return cmp.Compare(a.Name, b.Name) })
	for _, name := range slices.Sorted(maps.Keys(d.balancers)) {
		b := d.balancers[name]
		w.Balancers = append(w.Balancers, wire.Balancer{
			Name:     name,
			Socket:   socketName("balancer", name, b.Spec.Listen),
			Redirect: redirectName(name, b.Spec),
			Spec:     b.Spec,
			Up:       hints[name],
		})
	}
	w.Balancers = append(w.Balancers, previews(d)...)
	return w
}

// redirectName is the socket from which a balancer sends clients to HTTPS; empty: there is none.
func redirectName(name string, spec resource.LoadBalancerSpec) string {
	if spec.TLS == nil || spec.TLS.RedirectFrom == "" {
		return ""
	}
	return socketName("redirect", name, spec.TLS.RedirectFrom)
}

// previews are balancers that no document describes: each reaches the colour of a
// rollout that gets no traffic yet.
func previews(d documents) (list []wire.Balancer) {
	for _, set := range slices.Sorted(maps.Keys(d.sets)) {
		p := d.sets[set].Status.Preview
		if p == nil {
			continue
		}
		spec := resource.DefaultLoadBalancerSpec()
		spec.Listen, spec.Backend = p.Listen, &resource.Backend{Set: set}
		spec.DrainTimeout = resource.Duration(previewDrain)
		name := previewName(set)
		list = append(list, wire.Balancer{Name: name, Socket: socketName("balancer", name, p.Listen), Spec: spec, Preview: p.Colour})
	}
	return list
}

// previewDrain is short: nobody relies on a preview.
const previewDrain = 5 * time.Second

// previewName is no load balancer's: those have no slash.
func previewName(set string) string { return set + "/preview" }

func instanceOf(i resource.Instance) wire.Instance {
	w := wire.Instance{
		Name:      i.Name,
		Address:   i.Status.Address,
		Version:   i.Status.Version,
		Colour:    i.Status.Colour,
		Admission: i.Status.Admission,
		PID:       i.Status.PID,
		Healthy:   i.Status.Health == resource.HealthHealthy && i.Status.Address != "",
		Validate:  validateOf(i.Status),
		Renewing:  renewing(i.Status),
	}
	if i.Status.StartedAt != nil {
		w.StartedAt = *i.Status.StartedAt
	}
	return w
}

// renewing says that an instance is out of service for what it was told, so that its
// process may be another one soon.
func renewing(s resource.InstanceStatus) bool {
	return s.Operation != nil && s.Operation.Started != nil && s.Admission == resource.AdmissionOut
}

// validateOf is what is left to be asked of an instance before it takes traffic.
// Who is to be deleted never will.
func validateOf(s resource.InstanceStatus) *wire.Validate {
	if s.Validate == nil || s.Terminating() || s.Admission != resource.AdmissionOut || s.ValidatedNow() != nil {
		return nil
	}
	return &wire.Validate{Path: s.Validate.Path, Expect: s.Validate.Expect, Timeout: s.Validate.Timeout.Std()}
}

func checkOf(h resource.HealthCheck) *wire.Check {
	if h.Process {
		return nil
	}
	return &wire.Check{
		Path:               h.Path,
		Interval:           time.Duration(h.Interval),
		Timeout:            time.Duration(h.Timeout),
		UnhealthyThreshold: h.UnhealthyThreshold,
		HealthyThreshold:   h.HealthyThreshold,
	}
}

// socketName names a listening socket by what it was asked for: port 0 keeps the
// port that it was given over restarts, and another address is another socket.
func socketName(kind, name, address string) string { return kind + "/" + name + "@" + address }
