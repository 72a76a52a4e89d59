package control

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

func named[S, T any](name string, spec S, status T) resource.Object[S, T] {
	return resource.Object[S, T]{Meta: resource.Meta{Name: name}, Spec: spec, Status: status}
}

func TestBuild(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	second := resource.Duration(time.Second)
	probed := resource.ScaleSetSpec{Health: resource.HealthCheck{Path: "/healthz", Interval: second, Timeout: second, UnhealthyThreshold: 3, HealthyThreshold: 1}}
	process := resource.ScaleSetSpec{Health: resource.HealthCheck{Process: true}}
	front := resource.LoadBalancerSpec{Listen: "127.0.0.1:0", Backend: &resource.Backend{Set: "web"}}
	docs := documents{
		revision: 42,
		sets: map[string]resource.ScaleSet{
			"web":  named("web", probed, resource.ScaleSetStatus{}),
			"task": named("task", process, resource.ScaleSetStatus{}),
		},
		instances: map[string]resource.Instance{
			"web_2":  named("web_2", resource.InstanceSpec{}, resource.InstanceStatus{Set: "web", Version: "2.0.0", Colour: resource.Green, Admission: resource.AdmissionOut}),
			"web_1":  named("web_1", resource.InstanceSpec{}, resource.InstanceStatus{Set: "web", Version: "1.0.0", Colour: resource.Blue, Admission: resource.AdmissionInService, Address: "127.0.0.1:20001", Health: resource.HealthHealthy, PID: 7, StartedAt: &at}),
			"gone_1": named("gone_1", resource.InstanceSpec{}, resource.InstanceStatus{Set: "gone", Version: "1.0.0", Admission: resource.AdmissionDraining, Address: "127.0.0.1:20009", Health: resource.HealthHealthy}),
		},
		balancers: map[string]resource.LoadBalancer{"front": named("front", front, resource.LoadBalancerStatus{})},
	}
	want := wire.Snapshot{
		Generation: 42,
		Sets: []wire.Set{
			{Name: "gone", Instances: []wire.Instance{{Name: "gone_1", Address: "127.0.0.1:20009", Version: "1.0.0", Admission: resource.AdmissionDraining, Healthy: true}}},
			{Name: "task"},
			{
				Name:  "web",
				Check: &wire.Check{Path: "/healthz", Interval: time.Second, Timeout: time.Second, UnhealthyThreshold: 3, HealthyThreshold: 1},
				Instances: []wire.Instance{
					{Name: "web_1", Address: "127.0.0.1:20001", Version: "1.0.0", Colour: resource.Blue, Admission: resource.AdmissionInService, PID: 7, StartedAt: at, Healthy: true},
					{Name: "web_2", Version: "2.0.0", Colour: resource.Green, Admission: resource.AdmissionOut},
				},
			},
		},
		Balancers: []wire.Balancer{{Name: "front", Socket: "balancer/front@127.0.0.1:0", Spec: front, Up: []string{"127.0.0.1:20001"}}},
	}
	got := build(docs, map[string][]string{"front": {"127.0.0.1:20001"}, "other": {"x"}})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The view ends at what the store holds in whatever order a list and the changes around it are seen.
func TestTheViewIgnoresWhatIsOlder(t *testing.T) {
	doc := func(revision int64, address string) resource.Document {
		i := named("web_1", resource.InstanceSpec{}, resource.InstanceStatus{Address: address})
		i.Kind, i.Revision = resource.KindInstance, revision
		d, err := i.Document()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	v := newView()
	v.docs.instances = map[string]resource.Instance{}
	steps := []struct {
		change store.Change
		want   string
	}{
		{store.Change{Revision: 5, Document: doc(5, "five")}, "five"},
		{store.Change{Revision: 4, Document: doc(4, "four")}, "five"},
		{store.Change{Revision: 3, Deleted: true, Document: doc(3, "")}, "five"},
		{store.Change{Revision: 6, Deleted: true, Document: doc(6, "")}, ""},
		{store.Change{Revision: 7, Document: doc(7, "seven")}, "seven"},
	}
	for _, s := range steps {
		if err := v.take([]store.Change{s.change}); err != nil {
			t.Fatal(err)
		}
		if got := v.docs.instances["web_1"].Status.Address; got != s.want {
			t.Errorf("after revision %d: %q, want %q", s.change.Revision, got, s.want)
		}
		if v.docs.revision != s.change.Revision {
			t.Errorf("revision is %d, want %d", v.docs.revision, s.change.Revision)
		}
	}
}

func TestAnswersAreOfTheMoment(t *testing.T) {
	a := newAnswers()
	var notified []string
	a.OnProbe(func(i string) { notified = append(notified, i) })
	drained := wire.InstanceFacts{Name: "web_1", Drain: &wire.Drain{Ended: resource.DrainIdle}, Probe: &wire.Probe{Successes: 1}}
	facts := wire.Facts{
		Incarnation: "x", Generation: 5, Instances: []wire.InstanceFacts{drained},
		Balancers: []wire.BalancerFacts{{Name: "front", Up: []string{"here"}}},
	}
	if a.Applied(0) {
		t.Error("nothing is applied before a gateway answers")
	}
	a.confirm(5, 5)
	a.update(facts)
	a.confirm(5, 8) // nothing of 6 to 8 concerned it
	if !a.Applied(8) || a.Applied(9) {
		t.Error("applied is wrong")
	}
	if d, ok := a.Drain("web_1"); !ok || d.Ended != resource.DrainIdle {
		t.Errorf("drain is %+v, %v", d, ok)
	}
	a.confirm(9, 9)
	if _, ok := a.Drain("web_1"); ok {
		t.Error("a drain as of generation 5 is told after 9 was applied")
	}
	facts.Generation = 9
	a.update(facts)
	if _, ok := a.Drain("web_1"); !ok {
		t.Error("it is not told with facts of generation 9 either")
	}
	a.disconnect()
	if _, ok := a.Drain("web_1"); ok || a.Applied(1) {
		t.Error("a gateway that is gone answers")
	}
	if _, ok := a.Figures("web"); ok {
		t.Error("a gateway that is gone has figures")
	}
	if p, ok := a.Probe("web_1"); !ok || p.Successes != 1 {
		t.Error("the last probe result is forgotten")
	}
	if a.hints()["front"][0] != "here" {
		t.Error("the hints for the next gateway are forgotten")
	}
	if len(notified) != 1 {
		t.Errorf("notified of %v", notified)
	}
}

// The gateway knows of who is being reimaged before its process may be another one.
func TestRenewingIsTold(t *testing.T) {
	begun := &resource.Operation{Action: resource.ActionReimage, Started: &time.Time{}}
	for _, test := range []struct {
		admission resource.Admission
		operation *resource.Operation
		want      bool
	}{
		{resource.AdmissionOut, begun, true},
		{resource.AdmissionDraining, begun, false},
		{resource.AdmissionOut, &resource.Operation{Action: resource.ActionReimage}, false},
		{resource.AdmissionOut, nil, false},
	} {
		in := resource.Instance{Status: resource.InstanceStatus{Admission: test.admission, Operation: test.operation}}
		if got := instanceOf(in).Renewing; got != test.want {
			t.Errorf("%s with %+v: %t", test.admission, test.operation, got)
		}
	}
}

// What one gateway counted and then bequeathed is counted once, at any moment.
func TestBalancersAreOfBothGateways(t *testing.T) {
	front := func(n int) []wire.BalancerFacts {
		return []wire.BalancerFacts{{
			Name: "front", Connections: n, Queued: n, Refused: uint64(n), LogDropped: uint64(n), Counters: resource.Counters{Requests: uint64(n)},
		}}
	}
	serving := wire.Facts{Process: "b", Incarnation: "a", Balancers: front(1)}
	heir := serving
	heir.Inherited, heir.Balancers = "a", front(5)
	leaving := wire.Facts{Process: "a", Incarnation: "a", Balancers: front(4)}
	last := front(5)
	last[0].Connections, last[0].Queued = 1, 1
	a := newAnswers()
	a.confirm(0, 0)
	for _, step := range []struct {
		what string
		do   func()
		want []wire.BalancerFacts
	}{
		{"one gateway", func() { a.update(leaving) }, front(4)},
		{"it leaves", func() { a.updateElder(&elder{facts: leaving}); a.update(serving) }, front(5)},
		{"it has ended", a.elderGone, last},
		{"its figures were inherited", func() { a.update(heir) }, front(5)},
	} {
		if step.do(); !cmp.Equal(a.Balancers(), step.want) {
			t.Errorf("%s: %s", step.what, cmp.Diff(step.want, a.Balancers()))
		}
	}
}

// Who is to leave is not asked any more, though it may have been started anew since.
func TestNothingIsAskedUnderNotice(t *testing.T) {
	s := resource.InstanceStatus{Admission: resource.AdmissionOut, Validate: &resource.Validation{Path: "/selftest", Expect: 200}}
	if validateOf(s) == nil {
		t.Fatal("it is not asked before")
	}
	s.Notice = &resource.Notice{EventID: "e", Type: resource.EventTerminate}
	if got := validateOf(s); got != nil {
		t.Errorf("it is asked %+v", got)
	}
	if s.Notice.Type = resource.EventRedeploy; validateOf(s) == nil {
		t.Error("it is not asked when it comes back from a reimage")
	}
}
