package fleet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/internal/resource"
)

// Decide says what to write for a set now. It is pure: the same view gives the same plan.
func Decide(v View) Plan {
	p := newPass(v)
	p.takeValidations()
	p.depart()
	p.operate()
	switch {
	case p.Set.Status.Deleting != nil:
		p.deleteSet()
	case p.Rollout != nil:
		p.blueGreen()
	default:
		p.steady()
	}
	p.standIn()
	p.offerPreview()
	p.explain()
	p.explainDrains()
	p.explainValidations()
	return p.finish()
}

// steady keeps the serving colour at its capacity, the kept one warm, and starts
// what the spec asks for as soon as its image is there.
func (p *pass) steady() {
	set := &p.Set.Status
	p.beginMissed()
	if set.Model == nil {
		return
	}
	p.unweigh()
	p.validateAnew()
	p.serve(p.populate(set.Colour, *set.Model, p.Set.Spec.Capacity))
	other := set.Colour.Other()
	prev := set.Previous
	switch {
	case prev == nil:
		p.retire(other)
	case p.until(prev.Until):
		if p.retire(other) {
			set.Previous = nil
		}
	default:
		p.standBy(p.populate(prev.Colour, prev.Model, p.Set.Spec.Capacity))
	}
}

// beginMissed starts what the spec asks for when its image was not there before.
func (p *pass) beginMissed() {
	set := &p.Set.Status
	if set.Model != nil && resource.FindCondition(set.Conditions, resource.ConditionImageNotFound) == nil {
		return
	}
	model, err := resolve(p.Set, p.Versions)
	if err != nil {
		set.Conditions = resource.SetCondition(set.Conditions, resource.Condition{
			Type: resource.ConditionImageNotFound, Status: true, Reason: "NotFound", Message: err.Error(), Since: p.Now,
		})
		return
	}
	set.Conditions = resource.ClearCondition(set.Conditions, resource.ConditionImageNotFound)
	switch {
	case set.Model == nil:
		set.Model, set.Colour = &model, resource.Blue
	case set.Model.Key() == model.Key(), isBad(set.BadModels, model) != nil,
		p.Set.Spec.UpgradePolicy.Mode == resource.ModeManual:
	default:
		r := newRollout(&p.Set, model, p.Now)
		p.Rollout = &r
	}
}

// deleteSet ends the rollout, drains and deletes every instance, then the set.
// Data folders go with it.
func (p *pass) deleteSet() {
	if r := p.Rollout; r != nil && !r.Status.Phase.Terminal() {
		if r.Status.Phase == resource.RolloutRollingBack {
			p.end(resource.RolloutCancelled, "the set is being deleted")
		} else {
			r.Status.Outcome = resource.RolloutCancelled
			p.enter(resource.RolloutRollingBack, "the set is being deleted")
		}
	}
	for _, m := range p.instances {
		m.discard()
		p.takeOut(m)
	}
	p.plan.Delete = len(p.instances) == 0 && p.Set.Status.Rollout == ""
}

// standIn lets instances that an older snapshot did not know take traffic while the
// set has none of its own that could, and takes it off them once all of its own
// can. They go on running until a user decides.
func (p *pass) standIn() {
	if p.Set.Status.Deleting != nil {
		return
	}
	var recovered []*member
	for _, m := range p.instances {
		if m.recovered() && m.Status.Goal == resource.GoalRun && !m.departs() {
			recovered = append(recovered, m)
		}
	}
	own := p.colour(p.Set.Status.Colour)
	switch {
	case allHealthy(own, p.Set.Spec.Capacity):
		p.standBy(recovered)
	case !slices.ContainsFunc(own, (*member).serving):
		p.serve(recovered)
	}
}

// explain says plainly when spec and status differ, and why.
func (p *pass) explain() {
	set := &p.Set.Status
	if set.Model == nil || p.asksFor(*set.Model) {
		set.Conditions = resource.ClearCondition(set.Conditions, resource.ConditionSpecNotRunning)
		if set.Model != nil {
			set.Conditions = resource.ClearCondition(set.Conditions, resource.ConditionImageNotFound)
		}
		return
	}
	reason, message := p.whyNotRunning()
	set.Conditions = resource.SetCondition(set.Conditions, resource.Condition{
		Type: resource.ConditionSpecNotRunning, Status: true, Reason: reason, Since: p.Now,
		Message: fmt.Sprintf("the spec asks for %s, %s runs: %s", p.Set.Spec.Image, set.Model.Image, message),
	})
}

// explainDrains says which instances go on running because no gateway confirms
// that they are done, and until when.
func (p *pass) explainDrains() {
	set := &p.Set.Status
	if len(p.unconfirmed) == 0 {
		set.Conditions = resource.ClearCondition(set.Conditions, resource.ConditionDrainUnconfirmed)
		return
	}
	set.Conditions = resource.SetCondition(set.Conditions, resource.Condition{
		Type: resource.ConditionDrainUnconfirmed, Status: true, Reason: "NoGateway", Since: p.Now,
		Message: fmt.Sprintf("no gateway confirms that the drain of %s has ended; they are taken out all the same %s after its time-out; `drover status` tells about the gateway",
			strings.Join(p.unconfirmed, ", "), resource.Duration(drainLimit)),
	})
}

// asksFor says whether the spec asks for that model, by its name or by another
// name for the same content.
func (p *pass) asksFor(m resource.Model) bool {
	if matches(p.Set.Spec, m) {
		return true
	}
	want, err := resolve(p.Set, p.Versions)
	return err == nil && want.Key() == m.Key()
}

func (p *pass) whyNotRunning() (reason, message string) {
	set := &p.Set.Status
	if set.Rollout != "" {
		return "RolloutInProgress", "rollout " + set.Rollout + " is on its way"
	}
	if c := resource.FindCondition(set.Conditions, resource.ConditionImageNotFound); c != nil {
		return "ImageNotFound", c.Message
	}
	for _, b := range set.BadModels {
		if p.asksFor(b.Model) {
			return "KnownBad", fmt.Sprintf("rollout %s left it (%s); `drover rollout start %s --force` tries it again", b.Rollout, b.Reason, p.Set.Name)
		}
	}
	if p.Set.Spec.UpgradePolicy.Mode == resource.ModeManual {
		return "Manual", fmt.Sprintf("the mode is Manual; `drover rollout start %s` applies it", p.Set.Name)
	}
	return "NotStarted", fmt.Sprintf("its last rollout was called off; `drover rollout start %s` starts it again", p.Set.Name)
}
