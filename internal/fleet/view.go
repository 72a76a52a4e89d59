package fleet

import (
	"cmp"
	"slices"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// View is all that a decision about one set looks at.
type View struct {
	Now       time.Time
	Set       resource.ScaleSet
	Rollout   *resource.Rollout // the one that runs, or nil
	Instances []resource.Instance
	// Versions are the gallery's versions of the image that the spec names.
	Versions []resource.ImageVersion
	// ShiftApplied: every gateway has confirmed the rollout's last move of traffic.
	ShiftApplied bool
	// Drains are the gateways' answers about the Draining instances.
	Drains map[string]Drain
	// Hidden are those out of service whose own event no gateway shows them any more.
	Hidden map[string]bool
	// DrainTimeout is the longest of the balancers that serve the set.
	DrainTimeout time.Duration
	// Approved are the events that were approved, and when.
	Approved map[string]time.Time
	// Figures are nil when no gateway answers.
	Figures *Figures
	// Validations are the gateways' answers about instances that wait for theirs.
	Validations map[string]Validation
	// Preview is nil when nothing is known.
	Preview *Preview
}

// statuses are the instances' as they were seen, by name.
func (v View) statuses() map[string]*resource.InstanceStatus {
	seen := make(map[string]*resource.InstanceStatus, len(v.Instances))
	for i := range v.Instances {
		seen[v.Instances[i].Name] = &v.Instances[i].Status
	}
	return seen
}

// Plan is what one decision writes, in one transaction.
type Plan struct {
	Set     resource.ScaleSet
	Rollout *resource.Rollout // the running, ended or new one; nil: none
	// Create are new instances; Change are existing ones of which something else is wanted.
	Create []resource.Instance
	Change []resource.Instance
	// Shifted: the rollout must carry the revision of these instance writes.
	Shifted bool
	// Delete: the set and its rollouts are to be deleted, nothing is left of it.
	Delete bool
	// Again is when to look again at the latest; 0: only when something changes.
	Again time.Duration
}

// pass is one decision in the making: it works on its own copies.
type pass struct {
	View
	plan        Plan
	instances   []*member
	unconfirmed []string // those whose drain's end no gateway confirms
}

// member is an instance within a pass.
type member struct {
	resource.Instance
	n       int
	changed bool
}

func newPass(v View) *pass {
	p := &pass{View: v}
	p.Set.Status.Conditions = slices.Clone(v.Set.Status.Conditions)
	if v.Rollout != nil {
		p.Rollout = ownCopy(*v.Rollout)
	}
	for _, in := range v.Instances {
		_, n, ok := resource.SplitInstanceName(in.Name)
		if !ok {
			continue
		}
		p.instances = append(p.instances, &member{Instance: in, n: n})
		// Numbers are never used again, also when an older snapshot of the set was served.
		p.Set.Status.NextInstance = max(p.Set.Status.NextInstance, n+1)
	}
	slices.SortFunc(p.instances, func(a, b *member) int { return a.n - b.n })
	return p
}

// ownCopy copies what a pass changes in place, so that the view stays as it was seen.
func ownCopy(r resource.Rollout) *resource.Rollout {
	s := &r.Status
	s.Report.Steps = slices.Clone(s.Report.Steps)
	s.Report.Drains = slices.Clone(s.Report.Drains)
	s.Marks = slices.Clone(s.Marks)
	if s.Shifted != nil {
		shift := *s.Shifted
		s.Shifted = &shift
	}
	return &r
}

// finish collects what changed.
func (p *pass) finish() Plan {
	for _, m := range p.instances {
		if m.changed {
			p.plan.Change = append(p.plan.Change, m.Instance)
		}
	}
	slices.SortStableFunc(p.plan.Change, func(a, b resource.Instance) int {
		return cmp.Compare(p.writeOrder(a), p.writeOrder(b))
	})
	p.Set.Status.Instances = p.tally()
	p.Set.Status.ScheduledEvents = p.Set.Status.ScheduledEvents.Next(p.events())
	p.plan.Set, p.plan.Rollout = p.Set, p.Rollout
	return p.plan
}

// writeOrder puts those that serve first: who sees half of a write sees too many in
// service, never too few. Of these the set's own colour comes first, and of those that
// leave it comes last: a canary's must not be seen alone, with all of the traffic.
func (p *pass) writeOrder(in resource.Instance) int {
	own := in.Status.Colour == p.Set.Status.Colour
	switch serves := in.Status.Admission == resource.AdmissionInService; {
	case serves && own:
		return 0
	case serves:
		return 1
	case !own:
		return 2
	}
	return 3
}

func (p *pass) tally() resource.Tally {
	var t resource.Tally
	for _, m := range p.instances {
		if m.Status.Goal == resource.GoalDelete {
			continue
		}
		t.Total++
		switch {
		case m.Status.Terminating():
			t.UnderNotice++
		case m.healthy() && m.Status.Colour == p.Set.Status.Colour:
			t.Healthy++
		}
		if m.Status.Admission == resource.AdmissionInService {
			t.InService++
		}
	}
	t.Total += len(p.plan.Create)
	return t
}

// again asks for another look after d, if that is sooner than what was asked before.
func (p *pass) again(d time.Duration) {
	d = max(d, time.Millisecond)
	if p.plan.Again == 0 || d < p.plan.Again {
		p.plan.Again = d
	}
}

// until asks for another look at t and reports whether t has come.
func (p *pass) until(t time.Time) bool {
	if !p.Now.Before(t) {
		return true
	}
	p.again(t.Sub(p.Now))
	return false
}

// colour are the instances of c that are meant to be, lowest number first.
// Recovered ones are nobody's: a snapshot that is served did not know them. Those
// that are to be deleted are not meant to be any more, whatever their health.
func (p *pass) colour(c resource.Colour) []*member {
	var list []*member
	for _, m := range p.instances {
		if m.Status.Colour == c && m.Status.Goal == resource.GoalRun && !m.departs() && !m.recovered() {
			list = append(list, m)
		}
	}
	return list
}

// leaving says whether some instance of c is still on its way out.
func (p *pass) leaving(c resource.Colour) bool {
	return slices.ContainsFunc(p.instances, func(m *member) bool {
		return m.Status.Colour == c && m.Status.Goal == resource.GoalDelete && !m.recovered()
	})
}

func (m *member) recovered() bool {
	return resource.FindCondition(m.Status.Conditions, resource.ConditionRecovered) != nil
}

// departs says whether it is to be deleted, and on its way.
func (m *member) departs() bool {
	op := m.Status.Operation
	return m.Status.Terminating() || op != nil && op.Action == resource.ActionDelete
}

// healthy is about the process that is meant to run: one that is to be replaced is
// not, whatever it answers.
func (m *member) healthy() bool {
	return m.Status.Health == resource.HealthHealthy && m.Status.Renewed()
}

// fit says whether it may take traffic: a validation is for those that take none yet.
func (m *member) fit() bool {
	return m.healthy() && (!m.unadmitted() || m.validated() && !m.away())
}

func (m *member) unadmitted() bool { return m.Status.Admission != resource.AdmissionInService }

func (m *member) validated() bool {
	v := m.Status.ValidatedNow()
	return m.Status.Validate == nil || v != nil && v.Passed
}

// refused says whether it failed its validation.
func (m *member) refused() bool {
	return m.unadmitted() && m.Status.ValidatedNow() != nil && !m.validated()
}

func (m *member) serving() bool {
	return m.healthy() && m.Status.Admission == resource.AdmissionInService
}

func (m *member) draining() bool { return m.Status.Admission == resource.AdmissionDraining }

func (p *pass) admit(m *member, a resource.Admission) {
	if m.Status.Admission == a {
		return
	}
	m.Status.Admission, m.Status.DrainingSince, m.changed = a, nil, true
	switch a {
	case resource.AdmissionDraining:
		m.Status.DrainingSince = new(p.Now)
	case resource.AdmissionInService:
		m.Status.Served = true
	}
}

func (m *member) remove() {
	if m.Status.Goal != resource.GoalDelete {
		m.Status.Goal, m.changed = resource.GoalDelete, true
		m.supersede()
	}
}

func (m *member) discard() {
	if !m.Status.Discard {
		m.Status.Discard, m.changed = true, true
	}
}
