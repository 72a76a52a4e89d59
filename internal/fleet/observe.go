package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// observe gathers all that a decision about a set looks at.
func (f *Fleet) observe(ctx context.Context, name string) (View, error) {
	v := View{Now: time.Now().UTC(), Drains: map[string]Drain{}, Validations: map[string]Validation{}, Approved: map[string]time.Time{}, Hidden: map[string]bool{}}
	var err error
	if v.Set, err = store.GetAs[resource.ScaleSetSpec, resource.ScaleSetStatus](ctx, f.store, resource.KindScaleSet, name); err != nil {
		return v, err
	}
	if err := f.observeRollout(ctx, &v); err != nil {
		return v, err
	}
	if err := f.observeInstances(ctx, &v); err != nil {
		return v, err
	}
	if v.Versions, err = versionsOf(ctx, f.store, v.Set.Spec.Image); err != nil {
		return v, err
	}
	if v.DrainTimeout, err = f.drainTimeout(ctx, name); err != nil {
		return v, err
	}
	if figures, ok := f.traffic.Figures(name); ok {
		v.Figures = &figures
	}
	if preview, ok := f.traffic.Preview(name); ok {
		v.Preview = &preview
	}
	return v, nil
}

func (f *Fleet) observeRollout(ctx context.Context, v *View) error {
	if v.Set.Status.Rollout == "" {
		return nil
	}
	r, err := store.GetAs[resource.RolloutSpec, resource.RolloutStatus](ctx, f.store, resource.KindRollout, v.Set.Status.Rollout)
	if errors.Is(err, store.ErrNotFound) {
		v.Set.Status.Rollout = "" // its document was lost with a damaged file: the set goes on without it
		return nil
	}
	if err != nil {
		return fmt.Errorf("read rollout %s: %w", v.Set.Status.Rollout, err)
	}
	v.Rollout = &r
	if s := r.Status.Shifted; s != nil {
		v.ShiftApplied = f.traffic.Applied(s.Revision)
	}
	return nil
}

func (f *Fleet) observeInstances(ctx context.Context, v *View) error {
	list, err := f.store.List(ctx, resource.KindInstance, store.ListOptions{Owner: v.Set.Name})
	if err != nil {
		return fmt.Errorf("list instances: %w", err)
	}
	v.Instances = make([]resource.Instance, 0, len(list.Items))
	for _, d := range list.Items {
		in, err := resource.From[resource.InstanceSpec, resource.InstanceStatus](d)
		if err != nil {
			return err
		}
		v.Instances = append(v.Instances, in)
		f.observeApproval(v, in)
		f.observeInstance(v, in)
	}
	return nil
}

func (f *Fleet) observeApproval(v *View, in resource.Instance) {
	n := in.Status.Notice
	if n == nil || n.Approved != nil {
		return
	}
	if at, ok := f.traffic.Approved(n.EventID); ok {
		v.Approved[n.EventID] = at
	}
}

// observeInstance asks the gateways. Before they route by this revision, what they
// say may be of an earlier drain, or of another validation.
func (f *Fleet) observeInstance(v *View, in resource.Instance) {
	drains := in.Status.Admission == resource.AdmissionDraining
	out := in.Status.Admission == resource.AdmissionOut
	unvalidated := in.Status.Validate != nil && out && in.Status.ValidatedNow() == nil
	hides := out && in.Status.Notice != nil && in.Status.Notice.Started != nil
	if !drains && !unvalidated && !hides || !f.traffic.Applied(in.Revision) {
		return
	}
	if hides {
		v.Hidden[in.Name] = true
	}
	if drain, ok := f.traffic.Drain(in.Name); ok && drains {
		v.Drains[in.Name] = drain
	}
	if outcome, ok := f.traffic.Validation(in.Name); ok && unvalidated {
		v.Validations[in.Name] = outcome
	}
}

// versionsOf lists the gallery's versions of the image that ref names.
func versionsOf(ctx context.Context, r store.Reader, image string) ([]resource.ImageVersion, error) {
	ref, err := resource.ParseImageRef(image)
	if err != nil {
		return nil, nil // validated before; a set that an older Drover wrote goes on as it is
	}
	list, err := r.List(ctx, resource.KindImageVersion, store.ListOptions{Owner: ref.Name})
	if err != nil {
		return nil, fmt.Errorf("list versions of image %s: %w", ref.Name, err)
	}
	versions := make([]resource.ImageVersion, 0, len(list.Items))
	for _, d := range list.Items {
		version, err := resource.From[resource.ImageVersionSpec, resource.ImageVersionStatus](d)
		if err != nil {
			return nil, err
		}
		versions = append(versions, version)
	}
	return versions, nil
}

// drainTimeout is the longest of the balancers that serve the set.
func (f *Fleet) drainTimeout(ctx context.Context, set string) (time.Duration, error) {
	list, err := f.store.List(ctx, resource.KindLoadBalancer, store.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list load balancers: %w", err)
	}
	var longest time.Duration
	for _, d := range list.Items {
		lb, err := resource.From[resource.LoadBalancerSpec, resource.LoadBalancerStatus](d)
		if err != nil {
			return 0, err
		}
		if serves(lb.Spec, set) {
			longest = max(longest, lb.Spec.DrainTimeout.Std())
		}
	}
	return longest, nil
}

func serves(lb resource.LoadBalancerSpec, set string) bool {
	if lb.Backend != nil && lb.Backend.Set == set {
		return true
	}
	for _, r := range lb.Routes {
		if r.Backend.Set == set {
			return true
		}
	}
	return false
}
