package fleet

import (
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Wish is a spec that somebody wants to write.
type Wish struct {
	Old *resource.ScaleSet // nil: it is new
	New resource.ScaleSet
	// Versions are those of the image that the new spec names.
	Versions []resource.ImageVersion
	// Force overrides and forgets what is remembered as bad.
	Force bool
	// Start asks for a rollout now: of the newest version of a followed image, and
	// also in mode Manual. A missing image is then an error.
	Start bool
	Now   time.Time
}

// Verdict is what a wish comes to.
type Verdict struct {
	Set resource.ScaleSet
	// Rollout is the one that the write starts, or nil.
	Rollout  *resource.Rollout
	Warnings []string
}

// Judge applies the rules of "spec is the wish, status is what runs". It is pure.
func Judge(w Wish) (Verdict, error) {
	set := w.New
	if w.Old == nil {
		return judgeNew(w, set)
	}
	set.Status = w.Old.Status
	if set.Status.Deleting != nil {
		return Verdict{}, resource.Errorf(resource.CodeConflict, "scale set %s is being deleted; wait until it is gone", set.Name)
	}
	if !w.Start && sameModelPart(w.Old.Spec, set.Spec) {
		if w.Force {
			return judgeModel(w, set)
		}
		return Verdict{Set: set}, nil
	}
	if r := set.Status.Rollout; r != "" {
		return Verdict{}, resource.Errorf(resource.CodeRolloutInProgress,
			"rollout %s of scale set %s is running: wait for it, or `drover rollout cancel %s`", r, set.Name, set.Name)
	}
	return judgeModel(w, set)
}

func judgeNew(w Wish, set resource.ScaleSet) (Verdict, error) {
	set.Status = resource.ScaleSetStatus{}
	if !w.Start {
		return Verdict{Set: set}, nil
	}
	return Verdict{}, resource.Errorf(resource.CodeNotFound, "scale set %s does not exist", set.Name)
}

func judgeModel(w Wish, set resource.ScaleSet) (Verdict, error) {
	s := &set.Status
	if s.Rollout != "" {
		return Verdict{Set: set}, nil
	}
	model, err := w.resolve(set)
	if err != nil {
		if w.Start || !resource.IsCode(err, resource.CodeImageNotFound) {
			return Verdict{}, err
		}
		s.Conditions = resource.SetCondition(s.Conditions, resource.Condition{
			Type: resource.ConditionImageNotFound, Status: true, Reason: "NotFound", Message: err.Error(), Since: w.Now,
		})
		return Verdict{Set: set}, nil
	}
	s.Conditions = resource.ClearCondition(s.Conditions, resource.ConditionImageNotFound)
	if s.Model == nil || s.Model.Key() == model.Key() {
		return Verdict{Set: set}, nil // nothing runs yet, or this does: no rollout
	}
	if bad := isBad(s.BadModels, model); bad != nil {
		if !w.Force {
			return Verdict{}, knownBad(set.Name, *bad)
		}
		s.BadModels = forget(s.BadModels, model)
	}
	if set.Spec.UpgradePolicy.Mode == resource.ModeManual && !w.Start {
		return Verdict{Set: set}, nil
	}
	r := newRollout(&set, model, w.Now)
	r.Spec.Force = w.Force
	return Verdict{Set: set, Rollout: &r}, nil
}

// resolve takes the newest good version of a followed image when a start asks for
// it or when the set begins to follow.
func (w Wish) resolve(set resource.ScaleSet) (resource.Model, error) {
	ref, err := resource.ParseImageRef(set.Spec.Image)
	if err != nil || !ref.FollowsLatest() || (!w.Start && w.Old.Spec.Image == set.Spec.Image) {
		return resolve(set, w.Versions)
	}
	if w.Force {
		set.Status.BadModels = nil // force also takes what was left before
	}
	return newest(set, ref, w.Versions)
}

func knownBad(set string, bad resource.BadModel) error {
	return resource.Errorf(resource.CodeModelKnownBad,
		"scale set %s has left %s before (rollout %s: %s); --force tries it again", set, bad.Model.Image, bad.Rollout, bad.Reason)
}

// newRollback makes the rollout that takes a set back to what it ran before old. What
// it goes back to has served: it is not asked, tried or waited for again.
func newRollback(set *resource.ScaleSet, old resource.Rollout, now time.Time) resource.Rollout {
	r := newRollout(set, old.Status.FromModel, now)
	r.Spec.RollbackOf = old.Name
	p := &r.Status.Policy
	p.Promotion, p.Preview, p.Validate, p.Canary = resource.PromotionAutomatic, nil, nil, nil
	return r
}

// newRollout makes the set's next rollout, from what runs to model.
func newRollout(set *resource.ScaleSet, model resource.Model, now time.Time) resource.Rollout {
	s := &set.Status
	s.NextRollout++
	r := resource.Rollout{Meta: resource.Meta{
		Kind: resource.KindRollout, Name: resource.RolloutName(set.Name, s.NextRollout), Created: now,
	}}
	r.Spec = resource.RolloutSpec{
		Set: set.Name, Strategy: resource.ModeBlueGreen,
		From: resource.Reference{Image: s.Model.Image, Digest: s.Model.Digest},
		To:   resource.Reference{Image: model.Image, Digest: model.Digest},
	}
	policy := set.Spec.UpgradePolicy
	r.Status = resource.RolloutStatus{
		Phase: resource.RolloutPending, PhaseSince: now,
		FromModel: *s.Model, ToModel: model,
		OldColour: s.Colour, NewColour: s.Colour.Other(),
		Policy: policy.BlueGreen, RollbackOnFailure: policy.RollbackOnFailure,
	}
	r.Status.Report.Steps = []resource.StepReport{{Name: string(resource.RolloutPending), StartedAt: now}}
	s.Rollout = r.Name
	return r
}
