package fleet

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

const restart, reimage, remove = resource.ActionRestart, resource.ActionReimage, resource.ActionDelete

// orderView is a set of three that serve, of which something is asked of web_1.
func orderView(t *testing.T, change func(*resource.ScaleSet, *resource.InstanceStatus)) (*store.Store, *Fleet) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	v := leavingView(nil)
	v.Set.Spec.Capacity = 2
	v.Set.Spec.ReimageNotification = v.Set.Spec.TerminateNotification
	if change != nil {
		change(&v.Set, &v.Instances[1].Status)
	}
	_, err = s.Update(t.Context(), func(tx *store.Tx) error {
		_, err := store.PutAs(tx, v.Set)
		for _, in := range v.Instances {
			in.Kind = resource.KindInstance
			_, err2 := store.PutAs(tx, in)
			err = errors.Join(err, err2)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, New(Options{Store: s, Traffic: &gateways{began: map[string]time.Time{}}})
}

// change makes orderView something else.
type change = func(*resource.ScaleSet, *resource.InstanceStatus)

func is(fn func(*resource.InstanceStatus)) change {
	return func(_ *resource.ScaleSet, s *resource.InstanceStatus) { fn(s) }
}

func asked(a resource.Action) change {
	return is(func(s *resource.InstanceStatus) { s.Operation = &resource.Operation{Action: a, By: "earlier"} })
}

var (
	recovered = []resource.Condition{{Type: resource.ConditionRecovered, Status: true}}
	leaves    = is(func(s *resource.InstanceStatus) { s.Admission = resource.AdmissionDraining })
	warned    = is(func(s *resource.InstanceStatus) { s.Notice = &resource.Notice{Type: resource.EventTerminate} })
	going     = is(func(s *resource.InstanceStatus) { s.Goal = resource.GoalDelete })
	found     = is(func(s *resource.InstanceStatus) { s.Conditions, s.Admission = recovered, resource.AdmissionOut })
	kept      = is(func(s *resource.InstanceStatus) { s.Colour = resource.Green })
	rolls     = func(set *resource.ScaleSet, _ *resource.InstanceStatus) { set.Status.Rollout = "web-1" }
)

var orders = []struct {
	name   string
	change change
	action resource.Action
	code   resource.Code
	by     string // of the operation then
	notice bool
	size   int // of the set
}{
	{"", nil, restart, "", "me", false, 2},
	{"", nil, reimage, "", "me", true, 2},
	{"", nil, remove, "", "me", false, 1},
	{"never served, ", is(func(s *resource.InstanceStatus) { s.Admission, s.Served = resource.AdmissionOut, false }), reimage, "", "me", false, 2},
	{"not announced, ", func(set *resource.ScaleSet, _ *resource.InstanceStatus) { set.Spec.ReimageNotification = nil }, reimage, "", "me", false, 2},
	{"rollout, ", rolls, restart, "", "me", false, 2},
	{"rollout, ", rolls, reimage, "", "me", true, 2},
	{"rollout, ", rolls, remove, resource.CodeRolloutInProgress, "", false, 2},
	{"restarted, ", asked(restart), restart, "", "earlier", false, 2},
	{"restarted, ", asked(restart), reimage, resource.CodeConflict, "earlier", false, 2},
	{"restarted, ", asked(restart), remove, "", "me", false, 1},
	{"deleted, ", asked(remove), remove, "", "earlier", false, 2},
	{"deleted, ", asked(remove), restart, resource.CodeConflict, "earlier", false, 2},
	{"draining, ", leaves, restart, resource.CodeConflict, "", false, 2},
	{"draining, ", leaves, remove, resource.CodeConflict, "", false, 2},
	{"under notice, ", warned, reimage, resource.CodeConflict, "", true, 2},
	{"under notice, ", warned, remove, "", "", true, 2},
	{"going, ", going, restart, resource.CodeConflict, "", false, 2},
	{"going, ", going, remove, "", "", false, 2},
	{"recovered, ", found, restart, resource.CodeConflict, "", false, 2},
	{"recovered, ", found, remove, "", "", true, 2},
	{"recovered and serving, ", is(func(s *resource.InstanceStatus) { s.Conditions = recovered }), remove, resource.CodeConflict, "", false, 2},
	{"kept, ", kept, restart, "", "me", false, 2},
	{"kept, ", kept, remove, resource.CodeConflict, "", false, 2},
	{"set deleted, ", func(set *resource.ScaleSet, _ *resource.InstanceStatus) { set.Status.Deleting = &resource.Deleting{} }, restart, resource.CodeConflict, "", false, 2},
}

func TestOperate(t *testing.T) {
	for _, test := range orders {
		t.Run(test.name+string(test.action), func(t *testing.T) {
			s, f := orderView(t, test.change)
			_, err := f.Operate(t.Context(), "web_1", test.action, "me")
			if test.code != "" && !resource.IsCode(err, test.code) || test.code == "" && err != nil {
				t.Errorf("%v, want %q", err, test.code)
			}
			in, err := store.GetAs[resource.InstanceSpec, resource.InstanceStatus](t.Context(), s, resource.KindInstance, "web_1")
			set, err2 := store.GetAs[resource.ScaleSetSpec, resource.ScaleSetStatus](t.Context(), s, resource.KindScaleSet, "web")
			if err = errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			by := ""
			if op := in.Status.Operation; op != nil {
				by = op.By
			}
			if by != test.by || (in.Status.Notice != nil) != test.notice || set.Spec.Capacity != test.size {
				t.Errorf("asked by %q, notice %+v, capacity %d", by, in.Status.Notice, set.Spec.Capacity)
			}
		})
	}
	_, f := orderView(t, nil)
	if _, err := f.Operate(t.Context(), "web_7", restart, "me"); !resource.IsCode(err, resource.CodeNotFound) {
		t.Errorf("one that there is none of: %v", err)
	}
}

// Who restarts the only one that serves is told what that costs.
func TestOperateWarns(t *testing.T) {
	_, f := orderView(t, nil)
	if in, err := f.Operate(t.Context(), "web_0", restart, "me"); err != nil || len(in.Status.Operation.Warnings) != 0 {
		t.Errorf("another one serves: %v %+v", err, in.Status.Operation)
	}
	_, f = orderView(t, func(_ *resource.ScaleSet, s *resource.InstanceStatus) { s.Health = resource.HealthUnhealthy })
	if in, err := f.Operate(t.Context(), "web_0", restart, "me"); err != nil || len(in.Status.Operation.Warnings) != 1 || !strings.Contains(in.Status.Operation.Warnings[0], "waits for one, 5m at most") {
		t.Errorf("no other serves: %v %+v", err, in.Status.Operation)
	}
	_, f = orderView(t, func(_ *resource.ScaleSet, s *resource.InstanceStatus) {
		s.Goal, s.Operation = resource.GoalDelete, &resource.Operation{Action: remove}
	})
	if in, err := f.Operate(t.Context(), "web_0", restart, "me"); err != nil || len(in.Status.Operation.Warnings) != 1 || strings.Contains(in.Status.Operation.Warnings[0], "at most; then") {
		t.Errorf("there is no other: %v %+v", err, in.Status.Operation)
	}
}

// What is asked between a decision and its write is not lost: the decision is made anew.
func TestWhatIsAskedMeanwhileIsNotLost(t *testing.T) {
	s, f := orderView(t, func(_ *resource.ScaleSet, s *resource.InstanceStatus) { s.Admission = resource.AdmissionOut })
	v, err := f.observe(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	plan := Decide(v)
	if len(plan.Change) != 1 {
		t.Fatalf("%d changes, want that of web_1", len(plan.Change))
	}
	if _, err := f.Operate(t.Context(), "web_1", restart, "me"); err != nil {
		t.Fatal(err)
	}
	if err := f.write(t.Context(), v, plan); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the decision is written: %v", err)
	}
	in, err := store.GetAs[resource.InstanceSpec, resource.InstanceStatus](t.Context(), s, resource.KindInstance, "web_1")
	if err != nil || in.Status.Operation == nil || in.Status.Admission != resource.AdmissionOut {
		t.Errorf("%v, %s with %+v", err, in.Status.Admission, in.Status.Operation)
	}
}
