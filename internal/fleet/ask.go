package fleet

import (
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// What a user may ask of a running rollout.
const (
	askPause    = "pause"
	askResume   = "resume"
	askCancel   = "cancel"
	askRollback = "rollback"
	askPromote  = "promote"
)

// defaultPause is how long a pause lasts at most when nobody says.
const defaultPause = 24 * time.Hour

// answerAsk does what was asked and reports whether the phase changed. The ask was
// allowed when it was made; if the rollout has gone on since then so that it is no
// longer, it is dropped.
func (p *pass) answerAsk() bool {
	s := &p.Rollout.Status
	ask, before := s.Ask, s.Phase
	if ask == nil {
		return false
	}
	s.Ask = nil
	if mayAsk(*p.Rollout, ask.Action) != nil {
		return false
	}
	switch ask.Action {
	case askPause:
		p.pause(ask.For.Std())
	case askResume:
		p.resume()
	case askPromote:
		p.promote(ask.By)
	case askCancel:
		p.goBack(resource.RolloutCancelled, false, "cancelled by "+ask.By)
	case askRollback:
		p.goBack(resource.RolloutRolledBack, true, "rolled back by "+ask.By)
	}
	return s.Phase != before
}

// mayAsk says why a rollout cannot be asked for that in its phase, or nil.
func mayAsk(r resource.Rollout, action string) error {
	s := r.Status
	rollback := r.Spec.RollbackOf != ""
	switch {
	case s.Phase.Terminal():
		return phaseError(r, action, "it has ended")
	case s.Phase == resource.RolloutRollingBack:
		return phaseError(r, action, "it is going back already")
	case rollback && action != askResume:
		return phaseError(r, action, "it is a rollback itself; start a rollout to the version that you want")
	case action == askRollback:
		return nil
	case s.Phase == resource.RolloutFinishing && action == askCancel:
		return phaseError(r, action, "the new version has passed its bake; use `rollout rollback`")
	case s.Phase == resource.RolloutFinishing:
		return phaseError(r, action, "it is finishing")
	case action == askPromote && !s.AwaitsPromotion:
		return phaseError(r, action, "it does not wait for a promotion")
	case action == askResume && s.AwaitsPromotion:
		return phaseError(r, action, "it waits for a promotion; use `rollout promote`")
	case action == askResume && s.Phase != resource.RolloutPaused:
		return phaseError(r, action, "it is not paused")
	}
	return nil
}

func phaseError(r resource.Rollout, action, why string) error {
	return resource.Errorf(resource.CodeInvalidPhase, "cannot %s rollout %s in phase %s: %s", action, r.Name, r.Status.Phase, why)
}

// pause holds the rollout where it is; a second pause only sets a new end.
func (p *pass) pause(most time.Duration) {
	s := &p.Rollout.Status
	if most <= 0 {
		most = defaultPause
	}
	until := p.Now.Add(most)
	if s.Phase == resource.RolloutPaused {
		if !s.AwaitsPromotion || until.Before(*s.PausedUntil) { // a promotion is not waited for any longer
			s.PausedUntil = &until
		}
		return
	}
	s.PausedUntil = &until
	s.PausedFrom, s.PausedAfter = s.Phase, resource.Duration(p.Now.Sub(s.PhaseSince))
	p.enter(resource.RolloutPaused, "paused in "+string(s.PausedFrom))
}

func (p *pass) resume() {
	s := &p.Rollout.Status
	detail := "resumed"
	if s.PausedFrom == resource.RolloutShifting {
		s.Shifted.At = p.Now
	}
	if c := s.Canary; c != nil {
		detail += ": " + p.canaryText()
		if c.Since != nil {
			s.Canary = &resource.CanaryRun{Step: c.Step, Since: new(c.Since.Add(p.Now.Sub(s.PhaseSince)))}
		}
	}
	p.enter(s.PausedFrom, detail)
	s.PhaseSince = p.Now.Add(-s.PausedAfter.Std())
	s.Unpause()
}

// paused goes on watching what the phase it holds watches, and goes back when
// nobody resumed in time.
func (p *pass) paused() {
	s := &p.Rollout.Status
	if s.PausedUntil == nil || p.until(*s.PausedUntil) {
		why := "paused and not resumed in time"
		if s.AwaitsPromotion {
			why = "not promoted in time"
		}
		p.goBack(resource.RolloutCancelled, false, why)
		return
	}
	switch s.PausedFrom {
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
	}
}
