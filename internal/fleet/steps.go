package fleet

import (
	"maps"
	"slices"

	"github.com/droverhq/drover/internal/resource"
)

// The windows of a report: until the traffic moved, until the bake's end, and from
// then (or from the way back) to the rollout's end.
const (
	windowBefore = "before"
	windowDuring = "during"
	windowAfter  = "after"
)

// enter goes to a phase, which the report lists as a step.
func (p *pass) enter(phase resource.RolloutPhase, detail string) {
	s := &p.Rollout.Status
	p.closeStep()
	s.Phase, s.PhaseSince, s.Step = phase, p.Now, detail
	s.Report.Steps = append(s.Report.Steps, resource.StepReport{
		Name: string(phase), StartedAt: p.Now, Detail: detail,
	})
}

// say tells what the present step is about, also in the report.
func (p *pass) say(detail string) {
	s := &p.Rollout.Status
	s.Step = detail
	if n := len(s.Report.Steps); n > 0 {
		s.Report.Steps[n-1].Detail = detail
	}
}

func (p *pass) closeStep() {
	if steps := p.Rollout.Status.Report.Steps; len(steps) > 0 && steps[len(steps)-1].EndedAt == nil {
		now := p.Now
		steps[len(steps)-1].EndedAt = &now
	}
}

// end ends the rollout with its report and frees the set for the next one.
func (p *pass) end(phase resource.RolloutPhase, reason string) {
	s, set := &p.Rollout.Status, &p.Set.Status
	p.closeStep()
	now := p.Now
	s.Phase, s.Reason, s.EndedAt, s.Step = phase, reason, &now, ""
	s.Unpause()
	s.Ask, s.Canary, s.Analysis = nil, nil, nil
	serves := s.FromModel.Version
	if set.Colour == s.NewColour {
		serves = s.ToModel.Version
	}
	s.Weights = resource.Map[float64]{serves: 100}
	s.Report.Traffic = p.traffic()
	s.Marks = nil
	set.Rollout = ""
}

// mark begins a window with the gateway's figures of now.
func (p *pass) mark(window string) {
	m := resource.TrafficMark{Window: window}
	if p.Figures != nil {
		m.Incarnation, m.ByVersion = p.Figures.Incarnation, maps.Clone(p.Figures.ByVersion)
	}
	s := &p.Rollout.Status
	s.Marks = append(s.Marks, m)
}

// since are a version's figures since a mark. A gateway that was started anew in
// between counts from zero; what the one before had counted is gone with it.
func since(m resource.TrafficMark, now resource.TrafficMark, version string) resource.Counters {
	c := now.ByVersion[version]
	if m.Incarnation != now.Incarnation {
		return c
	}
	return subtract(c, m.ByVersion[version])
}

func subtract(c, from resource.Counters) resource.Counters {
	if c.Requests < from.Requests {
		from = resource.Counters{} // the gateway had forgotten the version and began anew
	}
	out := resource.Counters{
		Requests: c.Requests - from.Requests, Failed: c.Failed - from.Failed,
		Retried: c.Retried - from.Retried, Cut: c.Cut - from.Cut, Errors: c.Errors - from.Errors,
		Latency: map[int]uint64{},
	}
	for bucket, n := range c.Latency {
		if n > from.Latency[bucket] {
			out.Latency[bucket] = n - from.Latency[bucket]
		}
	}
	return out
}

// traffic is the report of all windows: each lasts until the next begins.
func (p *pass) traffic() []resource.TrafficReport {
	p.mark("")
	marks := p.Rollout.Status.Marks
	var report []resource.TrafficReport
	for i, m := range marks[:len(marks)-1] {
		next := marks[i+1]
		for _, version := range slices.Sorted(maps.Keys(next.ByVersion)) {
			c := since(m, next, version)
			if c.Requests+c.Failed+c.Cut == 0 {
				continue
			}
			report = append(report, resource.TrafficReport{
				Version: version, Window: m.Window,
				Requests: c.Requests, Failed: c.Failed, Retried: c.Retried, Cut: c.Cut, Errors: c.Errors,
				P50Ms: resource.LatencyQuantile(c.Latency, 0.5), P99Ms: resource.LatencyQuantile(c.Latency, 0.99),
			})
		}
	}
	return report
}

func (p *pass) rememberBad(m resource.Model, reason string) {
	set := &p.Set.Status
	set.BadModels = forget(set.BadModels, m)
	set.BadModels = append(set.BadModels, resource.BadModel{
		Key: m.Key(), Model: m, Rollout: p.Rollout.Name, Reason: reason, At: p.Now,
	})
	if extra := len(set.BadModels) - maxBadModels; extra > 0 {
		set.BadModels = set.BadModels[extra:]
	}
}

// maxBadModels bounds what a set remembers; the eldest are forgotten first.
const maxBadModels = 100

func forget(list []resource.BadModel, m resource.Model) []resource.BadModel {
	key := m.Key()
	return slices.DeleteFunc(slices.Clone(list), func(b resource.BadModel) bool { return b.Key == key })
}

func isBad(list []resource.BadModel, m resource.Model) *resource.BadModel {
	key := m.Key()
	for i := range list {
		if list[i].Key == key {
			return &list[i]
		}
	}
	return nil
}
