package fleet

import (
	"time"

	"github.com/droverhq/drover/internal/resource"
	"pgregory.net/rapid"
)

// operate asks something of a few random instances, as different users may at once.
func (w *world) operate() {
	actions := []resource.Action{resource.ActionRestart, resource.ActionReimage, resource.ActionReimage, resource.ActionDelete}
	action := rapid.SampledFrom(actions).Draw(w.t, "action")
	first, many := rapid.IntRange(0, 60).Draw(w.t, "of"), rapid.SampledFrom([]int{1, 1, 3, 50}).Draw(w.t, "many")
	for n := first; n < first+many; n++ {
		if p := w.instances[resource.InstanceName("web", n)]; p != nil {
			w.operateOne(p, action)
		}
	}
}

func (w *world) operateOne(p *process, action resource.Action) {
	set := clone(w.set)
	o := order{member: member{Instance: clone(p.Instance)}, set: &set, action: action, by: "test", now: w.now}
	for _, in := range w.list() {
		if in.Name != p.Name {
			o.others = append(o.others, member{Instance: in})
		}
	}
	known := o.known()
	smaller, err := o.carryOut()
	if err != nil || known {
		return
	}
	if smaller != nil {
		w.ask(func(set *resource.ScaleSet) { set.Spec.Capacity = smaller.Spec.Capacity })
	}
	if p.asked == nil {
		p.asked = map[resource.Action]int{}
	}
	p.asked[action]++
	if p.Status.Notice == nil && o.Status.Notice != nil {
		w.tell(p)
	}
	w.revision++
	p.Instance, p.Revision = o.Instance, w.revision
}

// hides says whether a gateway that knows its document hides its own event from it.
func (p *process) hides() bool {
	s := p.Status
	return s.Admission == resource.AdmissionOut && s.Notice != nil && s.Operation != nil && s.Operation.Started != nil
}

// renew is a compute that starts a new process where one was asked for.
func (w *world) renew(p *process) {
	switch {
	case p.Status.Renewed():
		return
	case p.renewAt.IsZero():
		p.renewAt = w.now.Add(w.seconds(0, 4))
		return
	case w.now.Before(p.renewAt):
		return
	}
	p.renewAt, p.sickUntil = time.Time{}, time.Time{}
	p.validated, p.approveAt, p.refuses = nil, time.Time{}, false
	s := &p.Status
	s.Restarted, s.Reimaged, s.Health, s.StartedAt = s.Restart, s.Reimage, resource.HealthInitializing, new(w.now)
	p.readyAt = w.now.Add(w.seconds(0, 8))
	w.revision++
	p.Revision = w.revision
}

func (w *world) operating() bool {
	for _, p := range w.instances {
		if p.Status.Operation != nil {
			return true
		}
	}
	return false
}

// askedOut are those that are out of service because somebody asked for that.
func (w *world) askedOut(plan Plan) (n int) {
	for _, in := range written(w.list(), plan.Change) {
		if op := in.Status.Operation; op != nil && in.Status.Admission != resource.AdmissionInService {
			n++
		}
	}
	return n
}

// alone: nobody could stand in for an instance, so that there is none to wait for.
func (w *world) alone(in resource.Instance) bool {
	op := in.Status.Operation
	if op == nil || op.Action == resource.ActionDelete {
		return false
	}
	for _, other := range w.list() {
		s := other.Status
		leaves := s.Terminating() || s.Goal == resource.GoalDelete || s.Operation != nil && s.Operation.Action == resource.ActionDelete
		if other.Name != in.Name && s.Colour == in.Status.Colour && !leaves {
			return false
		}
	}
	return true
}

// checkOperations: no process is ended before its drain is over and its notice has
// run out, and nobody is deleted for a restart or reimage.
func (w *world) checkOperations(before View, plan Plan) {
	was := map[string]resource.InstanceStatus{}
	for _, in := range before.Instances {
		was[in.Name] = in.Status
	}
	for _, in := range plan.Change {
		old, now := was[in.Name], in.Status
		if now.Reimage > old.Reimage || now.Restart > old.Restart {
			w.checkEnded(in, old)
		}
		if old.Operation != nil && now.Operation == nil && now.Goal == resource.GoalRun && !now.Terminating() && !old.Renewed() && w.now.Before(old.Operation.At.Add(renewLimit)) {
			w.t.Fatalf("the %s of %s is over and was not done", old.Operation.Action, in.Name)
		}
		if old.Operation != nil && old.Operation.Started != nil && now.Operation != nil && now.Admission == resource.AdmissionInService {
			w.t.Fatalf("%s takes traffic while it is away for a %s", in.Name, now.Operation.Action)
		}
	}
}

func (w *world) checkEnded(in resource.Instance, old resource.InstanceStatus) {
	if now := in.Status; now.Admission != resource.AdmissionOut || old.Admission == resource.AdmissionInService {
		w.t.Fatalf("the process of %s is ended, and it was %s", in.Name, old.Admission)
	}
	if w.gatewayUp() && w.routed[in.Name] == resource.AdmissionInService {
		w.t.Fatalf("the process of %s is ended while the gateway sends it requests", in.Name)
	}
	if end, busy := w.draining[in.Name]; busy && w.now.Before(end) {
		w.t.Fatalf("the process of %s is ended before its drain", in.Name)
	}
	if p := w.instances[in.Name]; in.Status.Notice != nil && w.gatewayUp() && (w.applied < p.Revision || !p.hides()) && w.now.Before(in.Status.Operation.Started.Add(confirmLimit)) {
		w.t.Fatalf("the process of %s is ended, and the next one will see its event", in.Name)
	}
	if n := in.Status.Notice; n != nil && n.Approved == nil && w.now.Before(n.NotBefore) {
		w.t.Fatalf("the process of %s is ended %s before its time, and it did not approve", in.Name, n.NotBefore.Sub(w.now))
	}
}

// checkOperated: what was asked of an instance that is still there was done, once.
func (w *world) checkOperated(p *process) {
	s := p.Status
	if s.Operation != nil || s.Notice != nil || !s.Renewed() {
		w.t.Fatalf("%s is left with %+v, notice %+v, %d of %d restarts, %d of %d reimages",
			p.Name, s.Operation, s.Notice, s.Restarted, s.Restart, s.Reimaged, s.Reimage)
	}
	if s.Restarted != p.asked[resource.ActionRestart] || s.Reimaged != p.asked[resource.ActionReimage] || p.asked[resource.ActionDelete] > 0 {
		w.t.Fatalf("%s was restarted %d times and reimaged %d times; asked for was %v", p.Name, s.Restarted, s.Reimaged, p.asked)
	}
}
