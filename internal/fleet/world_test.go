package fleet

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"pgregory.net/rapid"
)

// world is everything outside the decision, in virtual time: a store, a compute
// that starts and crashes processes, and a gateway that lags, drains and dies.
type world struct {
	t         *rapid.T
	now       time.Time
	revision  int64
	set       resource.ScaleSet
	rollouts  map[string]resource.Rollout
	instances map[string]*process
	versions  []resource.ImageVersion
	faults    map[string]fault // by version

	applied     int64 // the revision that the gateway routes by
	gatewayDown time.Time
	incarnation int
	routed      map[string]resource.Admission // what the gateway knows
	draining    map[string]time.Time          // ends at
	traffic     traffic
	everServed  map[string]bool
	approved    map[string]time.Time // events, by the gateway
	calm        bool                 // nothing goes wrong any more
	deleted     bool
	rand        *rand.Rand
}

// fault is how a version behaves.
type fault struct {
	never   bool // never becomes Healthy
	serving bool // becomes Unhealthy once it has traffic
	errors  bool // answers 5xx
	slow    bool // takes ten times as long
	refuses bool // fails its validation
}

type process struct {
	resource.Instance
	readyAt, goneAt time.Time
	sickUntil       time.Time
	approveAt       time.Time   // once it was told; zero: never
	refuses         bool        // its probe fails from the notice on
	validated       *Validation // what the gateway knows
	renewAt         time.Time   // when the new process that was asked for starts
	asked           map[resource.Action]int
}

func newWorld(t *rapid.T, capacity int) *world {
	w := &world{
		t: t, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), rollouts: map[string]resource.Rollout{},
		instances: map[string]*process{}, faults: map[string]fault{}, routed: map[string]resource.Admission{},
		draining: map[string]time.Time{}, everServed: map[string]bool{}, approved: map[string]time.Time{},
		rand: rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "seed"))),
	}
	w.set.Kind, w.set.Name = resource.KindScaleSet, "web"
	w.set.Spec = resource.ScaleSetSpec{Image: "web:1.0.0", Capacity: capacity, UpgradePolicy: resource.UpgradePolicy{
		Mode: resource.ModeBlueGreen, RollbackOnFailure: true,
		BlueGreen: resource.BlueGreenPolicy{
			StartTimeout: resource.Duration(time.Minute), BakeTime: resource.Duration(5 * time.Second),
			KeepPrevious: resource.Duration(time.Minute), MaxErrorRate: 5, MinRequests: 50,
		},
	}}
	w.publish("1.0.0", fault{})
	return w
}

func (w *world) publish(version string, f fault) {
	v := resource.ImageVersion{}
	v.Kind, v.Name = resource.KindImageVersion, "web:"+version
	v.Status.Digest = "sha256:" + fmt.Sprintf("%064x", len(w.versions)+1)
	w.versions = append(w.versions, v)
	w.faults[version] = f
}

func (w *world) view() View {
	v := View{Now: w.now, Set: w.set, Versions: w.versions, DrainTimeout: 10 * time.Second,
		Drains: map[string]Drain{}, Validations: map[string]Validation{}, Hidden: map[string]bool{}}
	if w.gatewayUp() {
		v.Approved = w.approved
	}
	if name := w.set.Status.Rollout; name != "" {
		r := w.rollouts[name]
		v.Rollout = &r
		if s := r.Status.Shifted; s != nil {
			v.ShiftApplied = w.applied >= s.Revision
		}
	}
	for _, name := range w.names() {
		v.Instances = append(v.Instances, w.instances[name].Instance)
		if w.gatewayUp() && w.applied >= w.instances[name].Revision && w.instances[name].hides() {
			v.Hidden[name] = true
		}
		if end, ok := w.draining[name]; ok && w.gatewayUp() {
			d := Drain{InFlightAtStart: 1}
			if !w.now.Before(end) {
				d.Ended = resource.DrainIdle
			}
			v.Drains[name] = d
		}
	}
	if w.gatewayUp() {
		v.Figures = w.traffic.figures(w.applied)
		w.validations(&v)
	}
	return v
}

// names are sorted: the same seed must make the same world.
func (w *world) names() []string { return slices.Sorted(maps.Keys(w.instances)) }

func clone[S, T any](o resource.Object[S, T]) resource.Object[S, T] {
	d, err := o.Document()
	if err != nil {
		panic(err)
	}
	c, err := resource.From[S, T](d)
	if err != nil {
		panic(err)
	}
	return c
}

func (w *world) gatewayUp() bool { return w.now.After(w.gatewayDown) }

// decide writes one plan, checking what must hold of every write.
func (w *world) decide() (again time.Duration) {
	before := w.view()
	plan := Decide(before)
	if !plan.changes(before) {
		return plan.Again
	}
	w.checkPlan(before, plan)
	w.checkShares(before, plan)
	if w.deleted = plan.Delete; w.deleted {
		if w.set.Status.Deleting == nil || len(w.instances) > 0 {
			w.t.Fatalf("the set was deleted with %d instances; asked for: %v", len(w.instances), w.set.Status.Deleting)
		}
		return 0
	}
	w.revision++
	w.set = plan.Set
	shift := w.revision
	for _, in := range plan.Create {
		w.revision++
		in.Revision, shift = w.revision, w.revision
		in.Status.StartedAt = new(w.now)
		w.instances[in.Name] = &process{Instance: in, readyAt: w.now.Add(w.seconds(0, 8))}
	}
	for _, in := range plan.Change {
		w.revision++
		p := w.instances[in.Name]
		p.Revision, shift = w.revision, w.revision
		if p.Status.Notice == nil && in.Status.Notice != nil {
			w.tell(p)
		}
		wish(&p.Status, &in.Status)
		if in.Status.Goal == resource.GoalDelete {
			p.goneAt = w.now.Add(w.seconds(0, 3))
		}
	}
	if r := plan.Rollout; r != nil {
		if plan.Shifted {
			r.Status.Shifted.Revision = shift
		}
		w.rollouts[r.Name] = *r
	}
	w.revision++
	return plan.Again
}

// checkPlan holds the laws against a write.
func (w *world) checkPlan(before View, plan Plan) {
	stored := before.Rollout
	if stored != nil {
		if err := resource.CheckTransition(stored.Status.Phase, plan.Rollout.Status.Phase); err != nil {
			w.t.Fatal(err)
		}
	}
	w.checkNotices(before, plan)
	w.checkOperations(before, plan)
	serving, toStay := map[string]bool{}, map[resource.Colour]int{}
	back, overdue := goesBack(before, plan)
	for _, in := range before.Instances {
		serving[in.Name] = in.Status.Admission == resource.AdmissionInService
		if serving[in.Name] && !in.Status.Terminating() && (!back || in.Status.Health == resource.HealthHealthy) {
			toStay[in.Status.Colour]++
		}
	}
	// A canary's instances are beyond the capacity: nobody relies on both colours.
	was, wasWell := max(toStay[resource.Blue], toStay[resource.Green]), anyServes(before.Instances)
	for _, in := range plan.Change {
		serving[in.Name] = in.Status.Admission == resource.AdmissionInService
		if in.Status.Goal != resource.GoalDelete || w.instances[in.Name].Status.Goal == resource.GoalDelete {
			continue
		}
		if w.gatewayUp() && w.routed[in.Name] == resource.AdmissionInService {
			w.t.Fatalf("%s is deleted while the gateway sends it requests", in.Name)
		}
		if end, busy := w.draining[in.Name]; busy && w.now.Before(end) {
			w.t.Fatalf("%s is deleted before its drain has ended", in.Name)
		}
	}
	if now := count(serving) + w.askedOut(plan); now < min(was, wanted(plan.Set)) && !overdue {
		w.t.Fatalf("law 4: %d in service, were %d of %d", now, was, plan.Set.Spec.Capacity)
	}
	if after := written(before.Instances, plan.Change); wasWell && wanted(plan.Set) > 0 && !anyServes(after) && !w.overstayed(plan) {
		w.t.Fatal("law 1: the last healthy instance in service was taken out")
	}
	total := len(plan.Create)
	for _, in := range before.Instances {
		if !in.Status.Terminating() { // those under notice are the users' to let go
			total++
		}
	}
	if total > 4*max(plan.Set.Spec.Capacity, 50) {
		w.t.Fatalf("%d instances of capacity %d", total, plan.Set.Spec.Capacity)
	}
}

// goesBack says whether the write moves the traffic back. Then those that it is taken
// from and that fail are no loss, and after the time-out what there is must do.
func goesBack(before View, plan Plan) (back, overdue bool) {
	r := before.Rollout
	if r == nil || !plan.Shifted || plan.Rollout.Status.Phase != resource.RolloutRollingBack {
		return false, false
	}
	waits := r.Status.Phase == resource.RolloutRollingBack
	return true, waits && !before.Now.Before(r.Status.PhaseSince.Add(r.Status.Policy.StartTimeout.Std()))
}

// wanted is how many are to serve.
func wanted(set resource.ScaleSet) int {
	if set.Status.Deleting != nil {
		return 0
	}
	return set.Spec.Capacity
}

func anyServes(list []resource.Instance) bool {
	return slices.ContainsFunc(list, func(in resource.Instance) bool {
		return in.Status.Admission == resource.AdmissionInService && in.Status.Health == resource.HealthHealthy
	})
}

// written are the instances as they are after a write.
func written(before, changed []resource.Instance) []resource.Instance {
	list := slices.Clone(before)
	for _, in := range changed {
		for i := range list {
			if list[i].Name == in.Name {
				list[i] = in
			}
		}
	}
	return list
}

func count(m map[string]bool) (n int) {
	for _, yes := range m {
		if yes {
			n++
		}
	}
	return n
}

// live moves compute and the gateway on by d.
func (w *world) live(d time.Duration) {
	w.now = w.now.Add(d)
	for _, name := range w.names() {
		p := w.instances[name]
		if p.Status.Goal == resource.GoalDelete && !w.now.Before(p.goneAt) {
			delete(w.instances, name)
			w.revision++
			continue
		}
		w.renew(p)
		if h := w.health(p); h != p.Status.Health {
			p.Status.Health = h
			w.revision++
			p.Revision = w.revision
		}
	}
	if !w.gatewayUp() {
		return
	}
	w.serve(d)
	if w.calm || w.rand.IntN(4) > 0 {
		w.approve()
		w.route()
	}
	if w.calm || w.rand.IntN(4) > 0 {
		w.traffic.tell(w.now, w.applied)
	}
}

func (w *world) health(p *process) resource.Health {
	f := w.faults[p.Status.Version]
	switch {
	case w.now.Before(p.readyAt) && p.Status.Health == resource.HealthInitializing:
		return resource.HealthInitializing
	case f.never, w.now.Before(p.sickUntil), f.serving && w.everServed[p.Name], p.refuses && p.Status.Notice != nil:
		return resource.HealthUnhealthy
	}
	return resource.HealthHealthy
}

// route is a gateway that takes the newest snapshot.
func (w *world) route() {
	w.applied = w.revision
	for name := range w.routed {
		if w.instances[name] == nil {
			delete(w.routed, name)
			delete(w.draining, name)
		}
	}
	for _, name := range w.names() {
		now := w.instances[name].Status.Admission
		if now == resource.AdmissionInService {
			w.everServed[name] = true
			delete(w.draining, name)
		}
		if _, draining := w.draining[name]; now == resource.AdmissionDraining && !draining {
			w.draining[name] = w.now.Add(w.seconds(0, 10))
		}
		w.routed[name] = now
		w.validate(w.instances[name])
	}
	w.traffic.weights = w.set.Status.Weights
}

// killGateway loses its memory: nothing is in flight in the next one, which may be
// long in coming.
func (w *world) killGateway() {
	w.gatewayDown = w.now.Add(w.seconds(0, rapid.SampledFrom([]int{20, 20, 20, 1800}).Draw(w.t, "down")))
	w.incarnation++
	clear(w.draining)
	w.traffic = traffic{incarnation: fmt.Sprint(w.incarnation)}
	for _, p := range w.instances {
		p.validated = nil
	}
}

// seconds are random, from one drawn seed: thousands of draws could not be shrunk.
func (w *world) seconds(lo, hi int) time.Duration {
	return time.Duration(lo*10+w.rand.IntN((hi-lo)*10+1)) * 100 * time.Millisecond
}

// settle runs without further faults until nothing has changed for three minutes
// and no rollout runs, or the limit. A wait that the decision itself named is
// skipped, as a timer would.
func (w *world) settle(limit time.Duration) {
	w.calm = true
	defer func() { w.calm = false }()
	quiet := w.now
	for end := w.now.Add(limit); !w.deleted && w.now.Before(end); {
		before, step := w.revision, 500*time.Millisecond
		again := w.decide()
		switch quietFor := w.now.Sub(quiet); {
		case w.revision != before:
		case quietFor > 30*time.Second:
			step = max(5*time.Second, again)
		case quietFor > 5*time.Second:
			step = 2 * time.Second
		}
		w.live(step)
		if w.revision != before || !w.gatewayUp() {
			quiet = w.now
		}
		if w.now.Sub(quiet) > 3*time.Minute && w.set.Status.Deleting == nil && w.set.Status.Rollout == "" && !w.set.Status.Told() && !w.operating() {
			return
		}
	}
}
