package fleet

import (
	"cmp"
	"slices"

	"github.com/droverhq/drover/internal/resource"
)

// populate makes colour c have want instances of model: new ones are created, and
// those leave that take no traffic yet, then the ones with the highest numbers
// (Azure's Default rule without zones). It returns those that stay.
func (p *pass) populate(c resource.Colour, model resource.Model, want int) []*member {
	have := p.colour(c)
	for range want - len(have) {
		p.create(c, model)
	}
	if len(have) <= want {
		return have
	}
	slices.SortStableFunc(have, func(a, b *member) int { return cmp.Compare(b.worth(), a.worth()) })
	for _, m := range have[want:] {
		p.takeOut(m)
	}
	return have[:want]
}

// worth is how much a scale-in would rather keep an instance: a set that shrinks
// while it still grows, or while some have failed, must not lose one that serves
// for one that does not.
func (m *member) worth() int {
	switch {
	case m.serving():
		return 3
	case m.Status.Admission == resource.AdmissionInService:
		return 2
	case m.fit():
		return 1
	}
	return 0
}

func (p *pass) create(c resource.Colour, model resource.Model) {
	n := p.Set.Status.NextInstance
	p.Set.Status.NextInstance++
	in := resource.Instance{Meta: resource.Meta{
		Kind: resource.KindInstance,
		Name: resource.InstanceName(p.Set.Name, n),
	}}
	in.Status = resource.InstanceStatus{
		Set: p.Set.Name, Colour: c, Model: model, Version: model.Version,
		Health: resource.HealthInitializing, Admission: resource.AdmissionOut,
		Goal: resource.GoalRun, Phase: resource.InstancePending, Validate: p.validation(c),
		Placement: resource.Placement{Node: "local"},
	}
	p.plan.Create = append(p.plan.Create, in)
}

// serve lets those that are fit take traffic. One that already does stays: the
// gateway knows by its own probes whether to pick it.
func (p *pass) serve(list []*member) {
	for _, m := range list {
		switch {
		case !m.unadmitted():
		case m.fit():
			p.admit(m, resource.AdmissionInService)
		case m.healthy() && !m.refused() && !m.away():
			p.again(bakePoll) // the gateway is about to validate it
		}
	}
}

// standBy drains those that take traffic. It reports whether all of them are out.
func (p *pass) standBy(list []*member) bool {
	out := true
	for _, m := range list {
		if !p.drained(m) {
			out = false
		}
	}
	return out
}

// drained moves an instance towards Out, which it only is once every gateway has
// said so, and reports whether it is.
func (p *pass) drained(m *member) bool {
	switch m.Status.Admission {
	case resource.AdmissionInService:
		p.admit(m, resource.AdmissionDraining)
		return false
	case resource.AdmissionDraining:
		d, known := p.Drains[m.Name]
		switch {
		case known && d.Ended == "", !known && !p.overdue(m):
			p.again(drainPoll)
			return false
		case !known:
			d.Ended = resource.DrainTimeout
		}
		p.admit(m, resource.AdmissionOut)
		p.reportDrain(m.Name, d)
	}
	return true
}

// overdue says that no gateway has known of a drain for so long that none can be
// running: one that knows of it ends it at its time-out, and one that does not
// answer is ended and started anew. Before that the set says what it waits for.
func (p *pass) overdue(m *member) bool {
	since := m.Status.DrainingSince
	if since == nil {
		m.Status.DrainingSince, m.changed = new(p.Now), true
		return false
	}
	due := since.Add(p.DrainTimeout)
	if p.until(due.Add(confirmLimit)) && !slices.Contains(p.unconfirmed, m.Name) {
		p.unconfirmed = append(p.unconfirmed, m.Name)
	}
	return p.until(due.Add(drainLimit))
}

// takeOut drains an instance and then deletes it, after the notice that it is owed.
func (p *pass) takeOut(m *member) {
	if m.Status.Terminating() {
		return // depart sees to it
	}
	if n := endNotice(p.Set.Spec, m.Instance, p.Now); n != nil {
		m.supersede()
		m.Status.Notice, m.changed = n, true
		return
	}
	p.finishOff(m)
}

// retire drains and deletes all of a colour that does not serve any more, and
// reports whether nothing is left of it but what is under notice.
func (p *pass) retire(c resource.Colour) bool {
	list := p.colour(c)
	for _, m := range list {
		if p.drained(m) {
			p.takeOut(m)
		}
	}
	return len(list) == 0 && !p.leaving(c)
}

func (p *pass) reportDrain(instance string, d Drain) {
	if p.Rollout == nil {
		return
	}
	r := &p.Rollout.Status.Report
	r.Drains = append(r.Drains, resource.DrainReport{
		Instance: instance, InFlight: d.InFlightAtStart, Ended: d.Ended,
	})
}

func allHealthy(list []*member, want int) bool {
	if len(list) < want {
		return false
	}
	for _, m := range list {
		if !m.healthy() || m.away() {
			return false
		}
	}
	return true
}

func allFit(list []*member, want int) bool {
	return allHealthy(list, want) && !slices.ContainsFunc(list, func(m *member) bool { return !m.fit() })
}

// firstUnhealthy is the first instance that is Unhealthy or cannot be made, or nil.
// Of those that somebody has restarted it is not yet known.
func firstUnhealthy(list []*member) *member {
	for _, m := range list {
		if m.Status.Health == resource.HealthUnhealthy && !m.operated() {
			return m
		}
	}
	return nil
}
