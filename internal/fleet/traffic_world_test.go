package fleet

import (
	"maps"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"pgregory.net/rapid"
)

// traffic is what the world's gateway routes and counts: 100 requests a second,
// shared by the weights that it knows.
type traffic struct {
	incarnation string
	weights     map[resource.Colour]int
	counted     map[resource.Colour]map[string]resource.Counters
	told        *Figures // what the control process knows of it
	toldOf      int64    // the revision that was routed by then
}

// drawPolicy makes any of the fine steps part of the set's rollouts.
func (w *world) drawPolicy() {
	b := &w.set.Spec.UpgradePolicy.BlueGreen
	some := func(what string) bool { return rapid.Bool().Draw(w.t, what) }
	b.Validate = drawValidation(w.t)
	if some("manual") {
		b.Promotion = resource.PromotionManual
	}
	if some("preview") {
		b.Preview = &resource.Preview{Listen: "127.0.0.1:0"}
	}
	if some("canary") {
		hold := resource.Duration(w.seconds(1, 8))
		b.Canary = []resource.CanaryStep{{Percent: 10, Hold: hold}, {Percent: 50, Hold: hold}}
		b.MinSample, b.RequireAnalysis = rapid.SampledFrom([]int{10, 100, 1000}).Draw(w.t, "minSample"), some("requireAnalysis")
		b.MaxP99Ratio = new(2.0)
	}
}

func drawValidation(t *rapid.T) *resource.Validation {
	if !rapid.Bool().Draw(t, "validate") {
		return nil
	}
	return &resource.Validation{Path: "/selftest", Expect: 200, Timeout: resource.Duration(time.Second)}
}

// validations are what a gateway that is up knows.
func (w *world) validations(v *View) {
	for _, in := range v.Instances {
		if p := w.instances[in.Name]; p.validated != nil && in.Status.Validate != nil && in.Status.ValidatedNow() == nil {
			v.Validations[in.Name] = *p.validated
		}
	}
}

// validate is a gateway that asks a process once.
func (w *world) validate(p *process) {
	if p.Status.Validate == nil || p.validated != nil || p.Status.Health != resource.HealthHealthy || w.rand.IntN(3) == 0 {
		return
	}
	p.validated = &Validation{StartedAt: *p.Status.StartedAt, At: w.now}
	if w.faults[p.Status.Version].refuses {
		p.validated.Error = "GET /selftest answered 500, not 200"
	}
}

// serve lets the requests of d happen.
func (w *world) serve(d time.Duration) {
	t := &w.traffic
	for colour, part := range t.shares(w.routed, w.list()) {
		for _, in := range w.list() {
			if in.Status.Colour == colour {
				t.count(in, uint64(part*d.Seconds()), w.faults[in.Status.Version])
				break
			}
		}
	}
}

func (w *world) list() (list []resource.Instance) {
	for _, name := range w.names() {
		list = append(list, w.instances[name].Instance)
	}
	return list
}

// shares are the percent of the requests that each colour gets, as the pools share them.
func (t *traffic) shares(routed map[string]resource.Admission, list []resource.Instance) map[resource.Colour]float64 {
	return sharesBy(t.weights, func(in resource.Instance) bool {
		return routed[in.Name] == resource.AdmissionInService && in.Status.Health == resource.HealthHealthy
	}, list)
}

func sharesBy(weights map[resource.Colour]int, serves func(resource.Instance) bool, list []resource.Instance) map[resource.Colour]float64 {
	can := map[resource.Colour]float64{}
	all := 0.0
	for _, in := range list {
		if serves(in) {
			can[in.Status.Colour]++
			all++
		}
	}
	shares := map[resource.Colour]float64{}
	for colour, n := range can {
		switch {
		case len(can) == 1:
			shares[colour] = 100
		case weights == nil:
			shares[colour] = 100 * n / all
		default:
			shares[colour] = float64(weights[colour])
		}
	}
	return shares
}

func (t *traffic) count(in resource.Instance, n uint64, f fault) {
	took := 10 * time.Millisecond
	if f.slow {
		took *= 10
	}
	c := resource.Counters{Requests: n, Latency: map[int]uint64{resource.LatencyBucket(took): n}}
	if f.errors {
		c.Errors = n / 2
	}
	if t.counted == nil {
		t.counted = map[resource.Colour]map[string]resource.Counters{resource.Blue: {}, resource.Green: {}}
	}
	of := t.counted[in.Status.Colour]
	of[in.Status.Version] = of[in.Status.Version].Plus(c)
}

// tell is a poll.
func (t *traffic) tell(now time.Time, applied int64) {
	f := Figures{Incarnation: t.incarnation, At: now, ByVersion: map[string]resource.Counters{}, ByColour: map[resource.Colour]map[string]resource.Counters{}}
	for colour, counted := range t.counted {
		f.ByColour[colour] = maps.Clone(counted)
		for version, c := range counted {
			f.ByVersion[version] = f.ByVersion[version].Plus(c)
		}
	}
	t.told, t.toldOf = &f, applied
}

func (t *traffic) figures(applied int64) *Figures {
	if t.told == nil {
		return nil
	}
	f := *t.told
	f.Current = t.toldOf >= applied
	return &f
}

// checkShares holds what is promised of weights, validation, promotion and preview
// against a write, and against each part of it that somebody may see alone.
func (w *world) checkShares(before View, plan Plan) {
	after := written(before.Instances, plan.Change)
	old := before.Set.Status.Weights
	if old == nil {
		old = map[resource.Colour]int{before.Set.Status.Colour: 100}
	}
	w.checkWeights(old, plan, after)
	w.checkValidated(before, after)
	r := plan.Rollout
	if r == nil || r.Spec.RollbackOf != "" {
		return
	}
	fresh := r.Status.NewColour
	for i, in := range after {
		if in.Status.Colour != fresh || in.Status.Admission != resource.AdmissionInService || before.Instances[i].Status.Admission == resource.AdmissionInService {
			continue
		}
		if in.Status.Validate != nil && (in.Status.ValidatedNow() == nil || !in.Status.ValidatedNow().Passed) {
			w.t.Fatalf("%s gets traffic and was not validated", in.Name)
		}
		if r.Status.Policy.Promotion == resource.PromotionManual && !r.Status.Promoted {
			w.t.Fatalf("%s gets traffic before anybody promoted it", in.Name)
		}
		if plan.Set.Status.Preview != nil {
			w.t.Fatalf("the preview reaches %s, which has traffic", in.Name)
		}
	}
	if c := r.Status.Canary; c != nil && plan.Set.Status.Weights[fresh] != r.Status.Policy.Canary[c.Step].Percent && r.Status.Phase == resource.RolloutShifting {
		w.t.Fatalf("step %d of the canary has weights %v", c.Step, plan.Set.Status.Weights)
	}
	w.checkParts(before, plan, fresh)
}

// checkValidated: none comes into service that neither served before nor passed.
// To go back to what a set ran once is the exception.
func (w *world) checkValidated(before View, after []resource.Instance) {
	if r := before.Rollout; r != nil && r.Spec.RollbackOf != "" {
		return
	}
	for i, in := range after {
		was := before.Instances[i].Status
		if was.Admission != resource.AdmissionInService && in.Status.Admission == resource.AdmissionInService && !was.Served && unvalidated(in.Status) {
			w.t.Fatalf("%s gets traffic, never had any, and was not validated", in.Name)
		}
	}
}

func unvalidated(s resource.InstanceStatus) bool {
	v := s.ValidatedNow()
	return s.Validate != nil && (v == nil || !v.Passed)
}

// checkWeights: they are whole, and more is given only to a colour that can serve,
// unless none can.
func (w *world) checkWeights(old map[resource.Colour]int, plan Plan, after []resource.Instance) {
	weights := plan.Set.Status.Weights
	if sum := weights[resource.Blue] + weights[resource.Green]; weights != nil && sum != 100 {
		w.t.Fatalf("weights %v", weights)
	}
	if weights == nil || wanted(plan.Set) == 0 {
		return
	}
	can := sharesBy(nil, servesNow, after)
	for colour, weight := range weights {
		if weight > old[colour] && len(can) > 0 && can[colour] == 0 {
			w.t.Fatalf("%d %% go to %s, of which no instance is healthy and in service", weight, colour)
		}
	}
}

func servesNow(in resource.Instance) bool {
	return in.Status.Admission == resource.AdmissionInService && in.Status.Health == resource.HealthHealthy
}

// checkParts: whoever sees only the first documents of a write never sends the new
// colour more than both before and after it.
func (w *world) checkParts(before View, plan Plan, fresh resource.Colour) {
	if wanted(plan.Set) == 0 {
		return // all leave, one after the other
	}
	share := func(weights map[resource.Colour]int, n int) float64 {
		return sharesBy(weights, servesNow, written(before.Instances, plan.Change[:n]))[fresh]
	}
	most := max(share(before.Set.Status.Weights, 0), share(plan.Set.Status.Weights, len(plan.Change)))
	for n := range plan.Change {
		if got := share(plan.Set.Status.Weights, n); got > most+0.01 {
			w.t.Fatalf("who sees the set and %d of %d instances sends the new colour %.0f %%, more than %.0f %%", n, len(plan.Change), got, most)
		}
	}
}
