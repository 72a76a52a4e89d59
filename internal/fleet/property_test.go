package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"pgregory.net/rapid"
)

// Laws 4 and 5 over random sets, versions, faults and operator actions: decide checks
// every single write, and at the end every rollout has ended and one model serves.
func TestBlueGreenKeepsTheLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.IntRange(1, 50).Draw(t, "N"))
		w.set.Spec.UpgradePolicy.RollbackOnFailure = rapid.Bool().Draw(t, "rollbackOnFailure")
		w.set.Spec.TerminateNotification, w.set.Spec.ReimageNotification = drawNotification(t), drawNotification(t)
		w.drawPolicy()
		w.settle(15 * time.Second)
		for i := range rapid.IntRange(1, 4).Draw(t, "versions") {
			w.rollOut(i)
		}
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			w.deleteSet()
			return
		}
		w.settle(48 * time.Hour)
		w.checkEnd()
	})
}

// rollOut publishes a version, asks for it and disturbs what follows.
func (w *world) rollOut(i int) {
	version := fmt.Sprintf("%d.0.0", i+2)
	w.publish(version, fault{
		never:   rapid.IntRange(0, 4).Draw(w.t, "never") == 0,
		serving: rapid.IntRange(0, 3).Draw(w.t, "serving") == 0,
		errors:  rapid.IntRange(0, 4).Draw(w.t, "errors") == 0,
		slow:    rapid.IntRange(0, 4).Draw(w.t, "slow") == 0,
		refuses: rapid.IntRange(0, 4).Draw(w.t, "refuses") == 0,
	})
	w.ask(func(set *resource.ScaleSet) { set.Spec.Image = "web:" + version })
	for range rapid.IntRange(5, 120).Draw(w.t, "steps") {
		w.decide()
		w.disturb()
		w.live(w.seconds(0, 2))
	}
}

// deleteSet asks for it wherever the set is, also in the middle of a canary.
func (w *world) deleteSet() {
	w.set.Status.Deleting = &resource.Deleting{Since: w.now}
	w.revision++
	w.settle(2 * time.Hour)
	if !w.deleted {
		w.t.Fatalf("the set is still there, with %d instances", len(w.instances))
	}
}

func (w *world) disturb() {
	if r, ok := w.rollouts[w.set.Status.Rollout]; ok && r.Status.AwaitsPromotion && rapid.IntRange(0, 3).Draw(w.t, "promote") == 0 {
		w.askRollout(askPromote)
	}
	switch rapid.IntRange(0, 40).Draw(w.t, "fault") {
	case 0:
		w.killGateway()
	case 1:
		w.sicken()
	case 2:
		w.ask(func(set *resource.ScaleSet) { set.Spec.Capacity = rapid.IntRange(0, 50).Draw(w.t, "capacity") })
	case 3:
		w.askRollout(rapid.SampledFrom([]string{askPause, askResume, askCancel, askRollback, askPromote, askPromote, askPromote}).Draw(w.t, "ask"))
	case 4:
		w.goBack()
	case 5, 6: // within one, and back: its new instances are wanted again
		w.ask(func(set *resource.ScaleSet) { set.Spec.Capacity = rapid.IntRange(0, 3).Draw(w.t, "few") })
	case 7:
		w.ask(func(set *resource.ScaleSet) { set.Spec.UpgradePolicy.BlueGreen.Validate = drawValidation(w.t) })
	case 8:
		w.ask(func(set *resource.ScaleSet) {
			set.Spec.TerminateNotification, set.Spec.ReimageNotification = drawNotification(w.t), drawNotification(w.t)
		})
	case 9, 10, 11:
		w.operate()
	}
}

// sicken makes a random instance Unhealthy for a while, as a crash does.
func (w *world) sicken() {
	n := rapid.IntRange(0, 200).Draw(w.t, "victim")
	if p := w.instances[resource.InstanceName("web", n)]; p != nil && p.Status.Health == resource.HealthHealthy {
		p.sickUntil = w.now.Add(w.seconds(0, 10))
		if rapid.Bool().Draw(w.t, "restarts") {
			p.Status.StartedAt, p.validated = new(w.now), nil
		}
	}
}

func (w *world) ask(change func(*resource.ScaleSet)) {
	wish := clone(w.set)
	change(&wish)
	old := clone(w.set)
	v, err := Judge(Wish{Old: &old, New: wish, Versions: w.versions, Now: w.now})
	if err != nil {
		return
	}
	w.commit(v)
}

func (w *world) commit(v Verdict) {
	w.revision++
	w.set = v.Set
	if v.Rollout != nil {
		if isBad(w.set.Status.BadModels, v.Rollout.Status.ToModel) != nil {
			w.t.Fatal("a bad model is tried again")
		}
		w.rollouts[v.Rollout.Name] = *v.Rollout
	}
}

func (w *world) askRollout(action string) {
	r, running := w.rollouts[w.set.Status.Rollout]
	if !running || mayAsk(r, action) != nil {
		return
	}
	r.Status.Ask = &resource.Ask{Action: action, By: "test", At: w.now}
	w.rollouts[r.Name] = r
}

func (w *world) goBack() {
	last, ok := w.rollouts[w.set.Status.LastRollout]
	if !ok || mayGoBack(w.set, last) != nil {
		return
	}
	r := newRollback(&w.set, last, w.now)
	w.rollouts[r.Name] = r
}

func (w *world) checkEnd() {
	for name, r := range w.rollouts {
		if !r.Status.Phase.Terminal() {
			w.t.Fatalf("law 5: rollout %s is still %s (%s)", name, r.Status.Phase, r.Status.Step)
		}
		if r.Status.Phase != resource.RolloutSucceeded && r.Status.Reason == "" {
			w.t.Fatalf("rollout %s ended %s without a reason", name, r.Status.Phase)
		}
		if r.Spec.RollbackOf != "" && r.Status.Phase == resource.RolloutRolledBack {
			w.t.Fatalf("rollback %s was rolled back", name)
		}
	}
	s := w.set.Status
	if s.Weights != nil || s.Preview != nil {
		w.t.Fatalf("weights %v and a preview %v are left over", s.Weights, s.Preview)
	}
	serving := 0
	for name, p := range w.instances {
		w.checkOperated(p)
		if p.Status.Admission == resource.AdmissionInService {
			serving++
			if p.Status.Model.Key() != s.Model.Key() || p.Status.Colour != s.Colour {
				w.t.Fatalf("law 5: %s serves %s %s, the set is %s %s", name, p.Status.Colour, p.Status.Version, s.Colour, s.Model.Version)
			}
		}
		if p.Status.Colour != s.Colour {
			w.t.Fatalf("%s of colour %s is still there", name, p.Status.Colour)
		}
	}
	if len(w.instances) != w.set.Spec.Capacity {
		w.t.Fatalf("%d instances, capacity %d", len(w.instances), w.set.Spec.Capacity)
	}
	refused := resource.FindCondition(s.Conditions, resource.ConditionValidationFailed) != nil // then they stay out, and the set says so
	if f := w.faults[s.Model.Version]; !f.never && !f.serving && refused != (serving != w.set.Spec.Capacity) {
		w.t.Fatalf("%d in service of %d, some refused: %v", serving, w.set.Spec.Capacity, refused)
	}
}
