package fleet

import (
	"fmt"
	"strings"

	"github.com/droverhq/drover/internal/resource"
)

// ready goes on once all new instances are fit: what was not done yet of validation
// and promotion comes first, then the traffic moves, at once or in steps.
func (p *pass) ready(fresh []*member) {
	s := &p.Rollout.Status
	switch {
	case s.Policy.Promotion == resource.PromotionManual && !s.Promoted:
		p.awaitPromotion()
	case len(s.Policy.Canary) > 0:
		p.canaryStep(0, fresh)
	default:
		p.shift(fresh, p.everyone(p.Rollout.Status.OldColour), resource.RolloutShifting, "all new instances are healthy")
	}
}

// awaitPromotion holds the rollout with its new colour ready, until somebody
// promotes it.
func (p *pass) awaitPromotion() {
	s := &p.Rollout.Status
	s.AwaitsPromotion = true
	p.pause(defaultPause)
	s.Step = "waits for `drover rollout promote " + p.Set.Name + "`"
	s.Report.Steps[len(s.Report.Steps)-1].Detail = s.Step
}

func (p *pass) promote(by string) {
	s := &p.Rollout.Status
	s.Promoted = true
	p.enter(s.PausedFrom, "promoted by "+by)
	s.Unpause()
}

// validating waits until the gateway has asked every new instance.
func (p *pass) validating() {
	s := &p.Rollout.Status
	fresh, ok := p.bringUp()
	if !ok {
		return
	}
	p.again(drainPoll)
	limit := s.Policy.StartTimeout + s.Policy.Validate.Timeout
	switch {
	case allFit(fresh, p.Set.Spec.Capacity):
		p.ready(fresh)
	case !p.late(fresh, s.PhaseSince.Add(limit.Std())):
	case !allHealthy(fresh, p.Set.Spec.Capacity):
		p.fail(fmt.Sprintf("not all of the new instances were healthy in %s (startTimeout and validate.timeout)", limit))
	default:
		p.giveUp(fmt.Sprintf("the gateway did not validate all new instances in %s (startTimeout and validate.timeout)", limit))
	}
}

// unready says why the new colour must not get traffic, or nothing.
func (p *pass) unready(fresh []*member) string {
	if bad := firstUnhealthy(fresh); bad != nil {
		return p.complaint(bad)
	}
	for _, m := range fresh {
		if m.Status.Operation == nil && m.refused() {
			return "instance " + m.Name + " failed its validation: " + m.Status.Validated.Message
		}
	}
	return ""
}

// validation is what new instances of a colour must answer before they get traffic.
func (p *pass) validation(c resource.Colour) *resource.Validation {
	if r := p.Rollout; r != nil && c == r.Status.NewColour {
		return r.Status.Policy.Validate
	}
	return p.Set.Spec.UpgradePolicy.BlueGreen.Validate
}

// validateAnew has those that were not let in yet asked what the spec says now.
func (p *pass) validateAnew() {
	want := p.Set.Spec.UpgradePolicy.BlueGreen.Validate
	for _, m := range p.colour(p.Set.Status.Colour) {
		have := m.Status.Validate
		if m.Status.Admission != resource.AdmissionOut || have == want || have != nil && want != nil && *have == *want {
			continue
		}
		m.Status.Validate, m.Status.Validated, m.changed = want, nil, true
	}
}

// takeValidations writes down what the gateway found.
func (p *pass) takeValidations() {
	for _, m := range p.instances {
		v, known := p.Validations[m.Name]
		if s := &m.Status; known && s.ValidatedNow() == nil && s.StartedAt != nil && s.StartedAt.Equal(v.StartedAt) {
			s.Validated, m.changed = &resource.Validated{StartedAt: v.StartedAt, At: v.At, Passed: v.Error == "", Message: v.Error}, true
		}
	}
}

// explainValidations says which instances take no traffic because of theirs.
func (p *pass) explainValidations() {
	set := &p.Set.Status
	var why []string
	for _, m := range p.instances {
		if m.Status.Goal == resource.GoalRun && !m.departs() && m.refused() {
			why = append(why, m.Name+": "+m.Status.Validated.Message)
		}
	}
	if len(why) == 0 {
		set.Conditions = resource.ClearCondition(set.Conditions, resource.ConditionValidationFailed)
		return
	}
	set.Conditions = resource.SetCondition(set.Conditions, resource.Condition{
		Type: resource.ConditionValidationFailed, Status: true, Reason: "Refused", Since: p.Now,
		Message: "instances take no traffic as they failed their validation; they are asked again when they start again: " + strings.Join(why, "; "),
	})
}

// offerPreview has the new colour reachable from when it starts until traffic moves.
func (p *pass) offerPreview() {
	p.Set.Status.Preview = nil
	if p.Rollout == nil {
		return
	}
	s := &p.Rollout.Status
	phase := s.Phase
	if phase == resource.RolloutPaused {
		phase = s.PausedFrom
	}
	if s.Policy.Preview == nil || phase != resource.RolloutStarting && phase != resource.RolloutValidating {
		s.Preview = ""
		return
	}
	p.Set.Status.Preview = &resource.PreviewOf{Preview: *s.Policy.Preview, Colour: s.NewColour}
	p.explainPreview()
}

const previewTrouble = "the preview "

// explainPreview says where the preview is, or why it is nowhere, which hinders nothing.
func (p *pass) explainPreview() {
	if p.Preview == nil {
		return
	}
	s := &p.Rollout.Status
	s.Preview = p.Preview.Address
	var warnings []string
	for _, w := range s.Warnings {
		if !strings.HasPrefix(w, previewTrouble) {
			warnings = append(warnings, w)
		}
	}
	if p.Preview.Problem != "" {
		warnings = append(warnings, previewTrouble+p.Preview.Problem)
	}
	s.Warnings = warnings
}
