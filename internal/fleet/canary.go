package fleet

import (
	"fmt"
	"maps"

	"github.com/droverhq/drover/internal/resource"
)

// weigh gives the new colour a share of the traffic, in percent, and the old one
// the rest. It is a move of traffic: every gateway must confirm it.
func (p *pass) weigh(share int) {
	s := &p.Rollout.Status
	p.Set.Status.Weights = map[resource.Colour]int{s.OldColour: 100 - share, s.NewColour: share}
	s.Weights = shares(s.FromModel.Version, s.ToModel.Version, share)
	s.Shifted = &resource.Shift{At: p.Now}
	p.plan.Shifted = true
	p.again(drainPoll)
}

// unweigh ends what a rollout left: as long as an instance of the other colour is in
// service, all traffic is the set's own colour's; then weights make no difference.
func (p *pass) unweigh() {
	set := &p.Set.Status
	if set.Weights == nil {
		return
	}
	set.Weights = nil
	for _, m := range p.instances {
		if m.Status.Colour != set.Colour && m.Status.Admission == resource.AdmissionInService {
			set.Weights = map[resource.Colour]int{set.Colour: 100}
		}
	}
}

// canaryStep gives the new colour the share of the nth step. The weights are written
// before its instances come into service.
func (p *pass) canaryStep(n int, fresh []*member) {
	s := &p.Rollout.Status
	s.Canary, s.Analysis = &resource.CanaryRun{Step: n}, nil
	p.serve(fresh)
	p.weigh(s.Policy.Canary[n].Percent)
	p.enter(resource.RolloutShifting, p.canaryText())
}

func (p *pass) canaryText() string {
	s := &p.Rollout.Status
	step := s.Policy.Canary[s.Canary.Step]
	return fmt.Sprintf("canary %d %% for %s", step.Percent, step.Hold)
}

// canary watches the step that runs: the old colour serves on, and what the new one
// gets is weighed.
func (p *pass) canary() {
	s := &p.Rollout.Status
	p.keepServing()
	fresh := p.populateNew()
	p.serve(fresh)
	if why := p.unfit(fresh); why != "" {
		p.fail(why)
		return
	}
	if s.Phase == resource.RolloutPaused {
		return // the gateway's next figures lead here again
	}
	p.again(bakePoll)
	switch {
	case s.Canary.Since == nil:
		p.beginStep()
	case p.until(s.Canary.Since.Add(s.Policy.Canary[s.Canary.Step].Hold.Std())):
		p.endStep(fresh)
	}
}

// beginStep begins the step's window once every gateway has the weights and has told
// what it had counted by then.
func (p *pass) beginStep() {
	s := &p.Rollout.Status
	if !p.confirmed() {
		p.awaitConfirmation()
		return
	}
	if s.Canary.Step == 0 {
		p.mark(windowDuring)
	}
	s.Analysis = p.analysisMark()
	s.Canary = &resource.CanaryRun{Step: s.Canary.Step, Since: new(p.Now)}
}

// endStep judges the step by figures from after its end, and goes on.
func (p *pass) endStep(fresh []*member) {
	s := &p.Rollout.Status
	end := s.Canary.Since.Add(s.Policy.Canary[s.Canary.Step].Hold.Std())
	if (p.Figures == nil || p.Figures.At.Before(end)) && !p.until(end.Add(confirmLimit)) {
		p.again(drainPoll)
		return
	}
	// A step does not wait for notices: the others are enough, if there are any.
	others := left(fresh)
	fit := allFit(fresh, p.Set.Spec.Capacity) || len(fresh) >= p.Set.Spec.Capacity && allFit(others, 1)
	if !fit && !p.late(fresh, end.Add(s.Policy.StartTimeout.Std())) {
		return // instances that a scale-out made on the way, or that somebody restarts
	}
	found := judgeStep(s.Policy, p.window())
	p.note(found)
	switch {
	case found.verdict == failed:
		p.fail(p.blame(found.text))
	case found.verdict == inconclusive && s.Policy.RequireAnalysis:
		p.giveUp(p.canaryText() + " was inconclusive, and requireAnalysis is set: " + found.text)
	case !fit:
		p.fail(fmt.Sprintf("not all of the new instances were healthy in %s (startTimeout)", s.Policy.StartTimeout))
	case s.Canary.Step < len(s.Policy.Canary)-1:
		p.canaryStep(s.Canary.Step+1, fresh)
	default:
		p.shift(nil, p.everyone(s.OldColour), resource.RolloutShifting, "all traffic") // who is fit serves already
	}
}

// blame says whose fault it was that the gateway's figures show.
func (p *pass) blame(why string) string {
	s := &p.Rollout.Status
	if s.Canary != nil {
		return fmt.Sprintf("version %s at %d %% of the traffic: %s", s.ToModel.Version, s.Policy.Canary[s.Canary.Step].Percent, why)
	}
	return "version " + s.ToModel.Version + ": " + why
}

// note adds what a step came to to its line in the report.
func (p *pass) note(f finding) {
	steps := p.Rollout.Status.Report.Steps
	text := ": " + f.text
	if f.verdict == inconclusive {
		text = ": Inconclusive: " + f.text
	}
	steps[len(steps)-1].Detail += text
}

// analysisMark is what was counted of both colours by now; nil: nobody tells.
func (p *pass) analysisMark() *resource.AnalysisMark {
	if p.Figures == nil {
		return nil
	}
	old, new := p.counted()
	old.Latency, new.Latency = maps.Clone(old.Latency), maps.Clone(new.Latency)
	return &resource.AnalysisMark{At: p.Figures.At, Incarnation: p.Figures.Incarnation, Old: old, New: new}
}

// window is what was counted of both colours since the analysis began.
func (p *pass) window() window {
	if p.Figures == nil {
		return window{unknown: true}
	}
	old, new := p.counted()
	return windowSince(p.Rollout.Status.Analysis, old, new, p.Figures.Incarnation)
}

func (p *pass) counted() (old, new resource.Counters) {
	s := &p.Rollout.Status
	return p.Figures.ByColour[s.OldColour][s.FromModel.Version], p.Figures.ByColour[s.NewColour][s.ToModel.Version]
}

// shares are what each version gets when the new one gets share percent; two colours
// of one version get it together.
func shares(from, to string, share int) resource.Map[float64] {
	parts := resource.Map[float64]{from: float64(100 - share)}
	parts[to] += float64(share)
	maps.DeleteFunc(parts, func(_ string, part float64) bool { return part == 0 })
	return parts
}
