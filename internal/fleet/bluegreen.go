package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Limits of the waits that no policy names (law 6).
const (
	confirmLimit = 2 * time.Minute  // for the gateways to confirm what they were told
	drainLimit   = 10 * time.Minute // for them to confirm the end of a drain, on top of its time-out
	retireLimit  = 15 * time.Minute // for a colour to be gone, on top of its drain's time-out
	drainPoll    = 100 * time.Millisecond
	bakePoll     = 250 * time.Millisecond
)

// blueGreen takes the running rollout one step on.
func (p *pass) blueGreen() {
	if p.answerAsk() {
		return // one change of phase a write
	}
	switch p.Rollout.Status.Phase {
	case resource.RolloutPending:
		p.pending()
	case resource.RolloutStarting:
		p.starting()
	case resource.RolloutValidating:
		p.validating()
	case resource.RolloutShifting:
		p.shifting()
	case resource.RolloutBaking:
		p.baking()
	case resource.RolloutPaused:
		p.paused()
	case resource.RolloutFinishing:
		p.finishing()
	case resource.RolloutRollingBack:
		p.rollingBack()
	}
}

// pending waits until the other colour is free: the one kept from the last
// rollout is retired first, unless this rollout goes back to it.
func (p *pass) pending() {
	s := &p.Rollout.Status
	p.keepServing()
	if s.StartedAt == nil {
		now := p.Now
		s.StartedAt = &now
		p.mark(windowBefore)
	}
	if s.Phase == resource.RolloutPaused {
		return
	}
	if p.reuses() {
		p.Set.Status.Previous = nil
		p.enter(resource.RolloutStarting, "the kept colour takes over")
		return
	}
	gone := p.retire(s.NewColour)
	// Who goes back can't wait for notices: its instances are new ones in any case.
	if p.Rollout.Spec.RollbackOf == "" && p.awaitNotices(s.NewColour) {
		return
	}
	if gone {
		p.Set.Status.Previous = nil
		p.enter(resource.RolloutStarting, fmt.Sprintf("%d new instances", p.Set.Spec.Capacity))
		return
	}
	if p.outOfTime() {
		p.giveUp("the instances of the previous colour are not gone in time")
	}
}

// outOfTime says that a colour that drains and leaves in this phase took too long.
func (p *pass) outOfTime() bool {
	return p.until(p.leavingSince(p.Rollout.Status.NewColour).Add(p.DrainTimeout + retireLimit))
}

// reuses says whether this rollback can go back to the kept colour at once: not
// while some of it is under notice, or restarted.
func (p *pass) reuses() bool {
	prev, r := p.Set.Status.Previous, p.Rollout
	return r.Spec.RollbackOf != "" && prev != nil && !prev.Failed &&
		prev.Colour == r.Status.NewColour && prev.Model.Key() == r.Status.ToModel.Key() &&
		allHealthy(p.colour(prev.Colour), p.Set.Spec.Capacity) && !slices.ContainsFunc(p.colour(prev.Colour), (*member).operated)
}

// bringUp sees to the new colour before it has traffic; false: it has failed, or the
// rollout is held.
func (p *pass) bringUp() (fresh []*member, ok bool) {
	p.keepServing()
	fresh = p.populateNew()
	if why := p.unready(fresh); why != "" {
		p.fail(why)
		return nil, false
	}
	return fresh, p.Rollout.Status.Phase != resource.RolloutPaused
}

// starting brings the new colour up. Nothing that serves is touched.
func (p *pass) starting() {
	s := &p.Rollout.Status
	fresh, ok := p.bringUp()
	if !ok {
		return
	}
	if allHealthy(fresh, p.Set.Spec.Capacity) {
		if v := s.Policy.Validate; v != nil {
			p.enter(resource.RolloutValidating, fmt.Sprintf("GET %s on each new instance", v.Path))
			p.again(drainPoll)
			return
		}
		p.ready(fresh)
		return
	}
	if p.late(fresh, s.PhaseSince.Add(s.Policy.StartTimeout.Std())) {
		p.fail(fmt.Sprintf("not all of the new instances were healthy in %s (startTimeout)", s.Policy.StartTimeout))
	}
}

// shift moves all traffic from one colour to the other in one write.
func (p *pass) shift(to, from []*member, phase resource.RolloutPhase, detail string) {
	for _, m := range to {
		p.admit(m, resource.AdmissionInService)
	}
	for _, m := range from {
		if m.Status.Admission == resource.AdmissionInService {
			p.admit(m, resource.AdmissionDraining)
		}
	}
	s := &p.Rollout.Status
	s.Canary, s.Analysis = nil, nil
	share := 100
	if phase == resource.RolloutRollingBack {
		share = 0
	}
	p.weigh(share)
	p.enter(phase, detail)
}

// shifting waits for every gateway to confirm that it routes to the new colour.
func (p *pass) shifting() {
	s := &p.Rollout.Status
	if s.Canary != nil {
		p.canary()
		return
	}
	fresh := p.populateNew()
	p.populateOld()
	if why := p.unwell(fresh); why != "" {
		p.fail(why)
		return
	}
	switch {
	case s.Phase == resource.RolloutPaused:
	case p.confirmed():
		p.bake()
	default:
		p.awaitConfirmation()
	}
}

// confirmed: every gateway routes as the last move of traffic says, and what it has
// counted is of after that.
func (p *pass) confirmed() bool {
	return p.ShiftApplied && (p.Figures == nil || p.Figures.Current)
}

// awaitConfirmation gives up when the gateways let it wait for too long.
func (p *pass) awaitConfirmation() {
	if p.until(p.Rollout.Status.Shifted.At.Add(confirmLimit)) {
		p.giveUp("the gateway did not confirm the new colour in " + resource.Duration(confirmLimit).String())
		return
	}
	p.again(drainPoll)
}

func (p *pass) bake() {
	s := &p.Rollout.Status
	if len(s.Policy.Canary) == 0 {
		p.mark(windowDuring)
	}
	s.Analysis = p.analysisMark()
	detail := "for " + s.Policy.BakeTime.String()
	if p.Rollout.Spec.RollbackOf != "" {
		detail = "not for a rollback"
	}
	p.enter(resource.RolloutBaking, detail)
}

// baking watches the new colour under all of the traffic.
func (p *pass) baking() {
	s := &p.Rollout.Status
	fresh := p.populateNew()
	p.serve(fresh)
	p.standBy(p.populateOld())
	if s.Analysis == nil && p.confirmed() {
		s.Analysis = p.analysisMark() // nobody could tell before
	}
	if why := p.unfit(fresh); why != "" {
		p.fail(why)
		return
	}
	if s.Phase == resource.RolloutPaused {
		p.again(bakePoll)
		return
	}
	if p.Rollout.Spec.RollbackOf == "" && !p.until(s.PhaseSince.Add(s.Policy.BakeTime.Std())) {
		p.again(bakePoll)
		return
	}
	p.mark(windowAfter)
	p.enter(resource.RolloutFinishing, "draining the old colour")
}

// unfit says why the new colour must not stay, or nothing.
func (p *pass) unfit(fresh []*member) string {
	if why := p.unwell(fresh); why != "" || p.Rollout.Spec.RollbackOf != "" {
		return why
	}
	return p.tooManyErrors()
}

// unwell is unfit without regard to errors. A rollback is never rolled back, so nothing can
// be wrong with it that going back would mend.
func (p *pass) unwell(fresh []*member) string {
	if p.Rollout.Spec.RollbackOf != "" {
		return ""
	}
	return p.unready(fresh)
}

// tooManyErrors judges the new version's own answers since the canary step, or the
// bake, began.
func (p *pass) tooManyErrors() string {
	policy := p.Rollout.Status.Policy
	if why := judgeErrors(policy, p.window().new, uint64(policy.MinRequests)); why != "" {
		return p.blame(why)
	}
	return ""
}

// finishing waits for the old colour's drain, which belongs into the report. A
// long one leaves the new colour time to fail, and the old one still runs.
func (p *pass) finishing() {
	fresh := p.populateNew()
	p.serve(fresh)
	old := p.populateOld()
	if why := p.unwell(fresh); why != "" {
		p.fail(why)
		return
	}
	if p.standBy(slices.Concat(old, p.departing(p.Rollout.Status.OldColour))) {
		p.settle(old)
		p.end(resource.RolloutSucceeded, "")
	}
}

// settle makes the new colour the set's own and keeps the old one warm. After a
// rollback nobody wants the old one back: it is retired.
func (p *pass) settle(old []*member) {
	s, set := &p.Rollout.Status, &p.Set.Status
	model := s.ToModel
	set.Colour, set.Model, set.LastRollout = s.NewColour, &model, p.Rollout.Name
	set.Previous = nil
	if p.Rollout.Spec.RollbackOf != "" {
		p.rememberBad(s.FromModel, "somebody asked to go back from it")
		return
	}
	if len(old) > 0 {
		set.Previous = &resource.Previous{
			Colour: s.OldColour, Model: s.FromModel, Rollout: p.Rollout.Name,
			Until: p.Now.Add(s.Policy.KeepPrevious.Std()),
		}
	}
}

// complaint says what is wrong with an instance, and why if its record tells.
func (p *pass) complaint(m *member) string {
	text := "instance " + m.Name + " is Unhealthy"
	for _, c := range m.Status.Conditions {
		if c.Message != "" && c.Type != resource.ConditionImageFieldsUnused { // that is nothing wrong
			text += ": " + c.Message
		}
	}
	if e := m.Status.LastExit; e != nil {
		switch {
		case e.Signal != "":
			text += "; it last ended by " + e.Signal
		case e.Code != nil:
			text += fmt.Sprintf("; it last ended with exit code %d", *e.Code)
		}
	}
	return strings.TrimSpace(text)
}

// keepServing is what the serving colour gets while nothing moves.
func (p *pass) keepServing() { p.serve(p.populateOld()) }

func (p *pass) populateOld() []*member {
	s := &p.Rollout.Status
	return p.populate(s.OldColour, s.FromModel, p.Set.Spec.Capacity)
}

func (p *pass) populateNew() []*member {
	s := &p.Rollout.Status
	return p.populate(s.NewColour, s.ToModel, p.Set.Spec.Capacity)
}

func (p *pass) newMembers() []*member { return p.colour(p.Rollout.Status.NewColour) }
func (p *pass) oldMembers() []*member { return p.colour(p.Rollout.Status.OldColour) }
