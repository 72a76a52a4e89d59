package fleet

import (
	"fmt"
	"slices"

	"github.com/droverhq/drover/internal/resource"
)

// rollingBack puts all traffic back and removes the new colour.
func (p *pass) rollingBack() {
	s := &p.Rollout.Status
	if s.Shifted != nil && !s.Shifted.Back {
		p.awaitOld()
		return
	}
	p.serve(p.populateOld())
	if !p.backConfirmed() {
		return
	}
	fresh := p.newMembers()
	if s.Outcome == resource.RolloutFailed && s.KeepFailed {
		if p.standBy(fresh) {
			p.keepToLookInto()
		}
		return
	}
	if p.retire(s.NewColour) && !slices.ContainsFunc(p.departing(s.NewColour), (*member).draining) || p.outOfTime() {
		p.endBack()
	}
}

// backConfirmed waits until the gateways route to the old colour again. When none
// answers, the wait ends with the rollout: what they serve is not touched further.
func (p *pass) backConfirmed() bool {
	s := &p.Rollout.Status
	if s.Shifted == nil || p.ShiftApplied {
		return true
	}
	if p.until(s.Shifted.At.Add(confirmLimit)) {
		s.Reason += "; the gateway did not confirm that traffic is back"
		s.Outcome = resource.RolloutFailed
		p.endBack()
	}
	p.again(drainPoll)
	return false
}

func (p *pass) keepToLookInto() {
	s := &p.Rollout.Status
	p.Set.Status.Previous = &resource.Previous{
		Colour: s.NewColour, Model: s.ToModel, Rollout: p.Rollout.Name,
		Until: p.Now.Add(s.Policy.KeepPrevious.Std()), Failed: true,
	}
	p.endBack()
}

func (p *pass) endBack() {
	s := &p.Rollout.Status
	if s.MarkBad {
		p.rememberBad(s.ToModel, s.Reason)
	}
	p.end(s.Outcome, s.Reason)
}

// goBack turns the rollout round. Before the shift the old colour still has all
// the traffic; after it, it gets it back in the same write.
func (p *pass) goBack(outcome resource.RolloutPhase, markBad bool, reason string) {
	s := &p.Rollout.Status
	s.Outcome, s.MarkBad, s.Reason = outcome, markBad, reason
	s.Unpause()
	switch {
	case s.Shifted == nil:
		p.enter(resource.RolloutRollingBack, reason)
	case p.oldCanServe():
		p.shiftBack()
	default:
		p.enter(resource.RolloutRollingBack, "waits for instances of the old version that can take over: "+reason)
	}
}

// oldCanServe says whether going back makes nothing worse: the old colour was kept
// running, but it may have failed as well, or a scale-in may have left it with fewer
// than serve now.
func (p *pass) oldCanServe() bool {
	serve := quantity(p.everyone(p.Rollout.Status.NewColour), (*member).serving)
	return serve == 0 || p.oldIsWell() && quantity(p.oldMembers(), (*member).tried) >= min(serve, p.Set.Spec.Capacity)
}

func (p *pass) oldIsWell() bool {
	return slices.ContainsFunc(proven(p.oldMembers()), (*member).healthy)
}

func (p *pass) shiftBack() {
	p.mark(windowAfter)
	p.shift(proven(p.oldMembers()), p.everyone(p.Rollout.Status.NewColour), resource.RolloutRollingBack, p.Rollout.Status.Reason)
	p.Rollout.Status.Shifted.Back = true
}

// tried says whether it may take traffic on the way back, whatever its health: it did
// before. One that was made meanwhile must be fit for it first.
func (m *member) tried() bool { return !m.unadmitted() || m.Status.Served || m.fit() }

// proven are those that may take traffic again at once; those that are away come back
// by themselves.
func proven(list []*member) []*member {
	return slices.DeleteFunc(slices.Clone(list), func(m *member) bool { return m.away() || !m.tried() })
}

func quantity(list []*member, is func(*member) bool) (n int) {
	for _, m := range list {
		if is(m) {
			n++
		}
	}
	return n
}

// awaitOld leaves the traffic where it is until the old colour can take it. In the end
// what there is of it must do; if that is nothing, the new one is what the set has.
func (p *pass) awaitOld() {
	s := &p.Rollout.Status
	old := p.populateOld()
	late := p.late(old, s.PhaseSince.Add(s.Policy.StartTimeout.Std()))
	switch {
	case p.oldCanServe() || late && p.oldIsWell():
		p.shiftBack()
	case late:
		if s.MarkBad {
			p.rememberBad(s.ToModel, s.Reason)
		}
		p.settle(old)
		p.end(resource.RolloutFailed, fmt.Sprintf(
			"%s; the new version serves all the same: no instance of the old one was healthy in %s (startTimeout)", s.Reason, s.Policy.StartTimeout))
	}
}

// fail is goBack for what the new model did wrong, which is remembered.
func (p *pass) fail(reason string) {
	p.giveUp(reason)
	p.Rollout.Status.MarkBad = p.Rollout.Spec.RollbackOf == ""
}

// giveUp is goBack for what went wrong around the new model, which may be tried again.
func (p *pass) giveUp(reason string) {
	s := &p.Rollout.Status
	outcome := resource.RolloutRolledBack
	if !s.RollbackOnFailure || p.Rollout.Spec.RollbackOf != "" {
		outcome = resource.RolloutFailed
	}
	s.KeepFailed = !s.RollbackOnFailure
	p.goBack(outcome, false, reason)
}
