package control

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
)

// A snapshot says what instances may ask, with no secret in it but its hash, also
// of those whose set is gone.
func TestSnapshotWithMetadata(t *testing.T) {
	told := &resource.ScheduledEvents{Incarnation: 7, Events: []resource.ScheduledEvent{{EventID: "e"}}}
	set := named("web", resource.ScaleSetSpec{}, resource.ScaleSetStatus{ScheduledEvents: told})
	set.Labels = map[string]string{"team": "shop"}
	status := func(set string) resource.InstanceStatus {
		return resource.InstanceStatus{Set: set, Model: resource.Model{Image: "hello:1.0.0"}, Placement: resource.Placement{Node: "local", Zone: "2"}}
	}
	d := documents{
		sets: map[string]resource.ScaleSet{"web": set},
		instances: map[string]resource.Instance{
			"web_1": named("web_1", resource.InstanceSpec{}, status("web")), "gone_1": named("gone_1", resource.InstanceSpec{}, status("gone")),
		},
	}
	c := New(Options{Secret: func(name string) [sha256.Size]byte { return sha256.Sum256([]byte("secret of " + name)) }})
	c.metadata = &wire.Metadata{Socket: "metadata/own@127.0.0.1:30000", Rate: 50}
	w := build(d, nil)
	c.addMetadata(&w, d)
	gone, web := w.Sets[0], w.Sets[1]
	if w.Metadata != c.metadata || web.Events != told || web.Tags["team"] != "shop" || gone.Events != nil {
		t.Errorf("%+v", w)
	}
	hash := sha256.Sum256([]byte("secret of web_1"))
	in := web.Instances[0]
	if string(in.Secret) != string(hash[:]) || in.Image != "hello:1.0.0" || in.Placement.Zone != "2" || len(in.ID) != 36 || in.ID == gone.Instances[0].ID {
		t.Errorf("%+v", in)
	}
	if text, err := json.Marshal(w); err != nil || strings.Contains(string(text), "secret of") {
		t.Errorf("%v: %s", err, text)
	}
}
