package resource

import (
	"slices"
	"testing"
	"time"
)

func version(name, digest string) ImageVersion {
	return ImageVersion{Meta: Meta{Kind: KindImageVersion, Name: name}, Status: ImageVersionStatus{Digest: digest}}
}

func TestLatest(t *testing.T) {
	excluded, revoked := version("web:9.0.0", "d9"), version("web:8.0.0", "d8")
	excluded.Spec.ExcludeFromLatest = true
	revoked.Spec.Revoked = &Revoked{At: time.Unix(1, 0)}
	all := []ImageVersion{version("web:1.9.0", "d1"), version("web:1.10.0", "d2"), excluded, version("web:1.2.0", "d3"), revoked, version("web:damaged", "d4")}
	for name, c := range map[string]struct {
		versions []ImageVersion
		except   func(ImageVersion) bool
		want     string
	}{
		"by number, not by text": {all, nil, "web:1.10.0"},
		"except the bad one":     {all, func(v ImageVersion) bool { return v.Status.Digest == "d2" }, "web:1.9.0"},
		"all turned down":        {all, func(ImageVersion) bool { return true }, ""},
		"none good":              {[]ImageVersion{excluded, revoked}, nil, ""},
		"none":                   {nil, nil, ""},
		"0.0.0 counts":           {[]ImageVersion{version("web:0.0.0", "d")}, nil, "web:0.0.0"},
	} {
		if got, ok := Latest(c.versions, c.except); got.Name != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got.Name, ok, c.want)
		}
	}
}

func TestInUse(t *testing.T) {
	model := func(image, digest string) Model { return Model{Image: image, Digest: digest} }
	set := func(name string, status ScaleSetStatus) ScaleSet {
		return ScaleSet{Meta: Meta{Name: name}, Status: status}
	}
	rollout := func(name, set string, phase RolloutPhase, from, to Reference) Rollout {
		return Rollout{Meta: Meta{Name: name}, Spec: RolloutSpec{Set: set, From: from, To: to}, Status: RolloutStatus{Phase: phase}}
	}
	m1, m2 := model("web:1.0.0", "d1"), model("web@sha256:"+hex64, "d2")
	sets := []ScaleSet{
		set("runs", ScaleSetStatus{Model: &m1}),
		set("runs-by-digest", ScaleSetStatus{Model: &m2}),
		set("keeps", ScaleSetStatus{Previous: &Previous{Model: model("web:3.0.0", "d3")}}),
		set("ran", ScaleSetStatus{LastRollout: "ran-2"}),
		set("rolls", ScaleSetStatus{}),
	}
	rollouts := []Rollout{
		rollout("ran-1", "ran", RolloutSucceeded, Reference{"web:3.0.0", "d3"}, Reference{"web:4.0.0", "d4"}),
		rollout("ran-2", "ran", RolloutSucceeded, Reference{"web:4.0.0", "d4"}, Reference{"web:5.0.0", "d5"}),
		rollout("rolls-1", "rolls", RolloutPaused, Reference{"web:6.0.0", "d6"}, Reference{"web:7.0.0", "d7"}),
		rollout("rolls-0", "rolls", RolloutRolledBack, Reference{"web:6.0.0", "d6"}, Reference{"web:8.0.0", "d8"}),
	}
	instances := []Instance{{Meta: Meta{Name: "left_1"}, Status: InstanceStatus{Set: "left", Model: model("web:9.0.0", "d9")}}}
	for _, c := range []struct {
		v    ImageVersion
		want []string
	}{
		{version("web:1.0.0", "d1"), []string{"runs"}},
		{version("web:1.0.0", ""), []string{"runs"}},   // damaged status: the name is enough
		{version("web:1.0.1", "d1"), []string{"runs"}}, // the same content under another number
		{version("other:1.0.0", "d1"), nil},            // another image has its own manifest
		{version("web:2.0.0", "d2"), []string{"runs-by-digest"}},
		{version("web:3.0.0", "d3"), []string{"keeps"}}, // "ran" went through it long ago
		{version("web:4.0.0", "d4"), []string{"ran"}},   // where a rollback goes
		{version("web:5.0.0", "d5"), nil},               // only a rollout that ended names it
		{version("web:6.0.0", "d6"), []string{"rolls"}},
		{version("web:7.0.0", "d7"), []string{"rolls"}},
		{version("web:8.0.0", "d8"), nil},
		{version("web:9.0.0", "d9"), []string{"left"}},
		{version("damaged", "d1"), nil},
	} {
		if got := InUse(c.v, sets, rollouts, instances); !slices.Equal(got, c.want) {
			t.Errorf("%s with %s is in use by %v, want %v", c.v.Name, c.v.Status.Digest, got, c.want)
		}
	}
}

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
