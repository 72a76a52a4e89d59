package resource

import "testing"

func TestModelKey(t *testing.T) {
	half, all := 0.5, 1.0
	base := func() Model {
		return Model{Image: "hello:1.0.0", Version: "1.0.0", Digest: "sha256:1", Command: []string{"./server"}, Env: map[string]string{"A": "1", "B": "2"}, Resources: &Resources{CPU: &half}}
	}
	// Stored in badModels and in rollouts: an upgrade of Drover must compute the same.
	const pinned = "d9b5228a671f08dd90721a6a61e08d03b1c76c78a343655a9095fe17957c2779"
	if got := base().Key(); got != pinned {
		t.Errorf("the key of a stored model changed: %s", got)
	}
	for name, c := range map[string]struct {
		change func(*Model)
		same   bool
	}{
		"another name of the image": {func(m *Model) { m.Image, m.Version = "hello@sha256:1", "sha256" }, true},
		"equal copies":              {func(m *Model) { c := 0.5; m.Resources = &Resources{CPU: &c} }, true},
		"digest":                    {func(m *Model) { m.Digest = "sha256:2" }, false},
		"command":                   {func(m *Model) { m.Command = []string{"./ser", "ver"} }, false},
		"env value":                 {func(m *Model) { m.Env["A"] = "2" }, false},
		"env name":                  {func(m *Model) { m.Env["C"] = "" }, false},
		"root":                      {func(m *Model) { m.Root = RootImage }, false},
		"resources":                 {func(m *Model) { m.Resources = &Resources{CPU: &all} }, false},
	} {
		m := base()
		c.change(&m)
		if got := m.Key() == base().Key(); got != c.same {
			t.Errorf("%s: same key is %v, want %v", name, got, c.same)
		}
	}
	bare := Model{Digest: "sha256:1"}
	empty := Model{Digest: "sha256:1", Command: []string{}, Env: map[string]string{}, Resources: &Resources{}}
	if bare.Key() != empty.Key() {
		t.Error("an empty field makes another model than an absent one")
	}
}
