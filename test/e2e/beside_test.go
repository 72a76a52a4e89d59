package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/client/manifest"
	"github.com/droverhq/drover/internal/resource"
)

// slots are the ports and users that nobody has. They lie beyond the default ranges,
// and below the ports that the kernel gives to anybody.
var slots = func() chan int {
	free := make(chan int, 27)
	for n := range cap(free) {
		free <- n
	}
	return free
}()

// beside lets a story run beside others: its server has ports and users of its
// own, as several servers on one machine are given. port is the first of them.
func beside(t *testing.T) (args []string, port int) {
	t.Parallel()
	n := <-slots
	t.Cleanup(func() { slots <- n }) // once the server is gone, whose own clean-up comes first
	port = 30000 + 100*n
	uid := 2070000 + 100*n
	return []string{
		"--port-range", fmt.Sprintf("%d-%d", port, port+99),
		"--uid-range", fmt.Sprintf("%d-%d", uid, uid+99),
	}, port
}

func startBeside(t *testing.T, args ...string) *server {
	t.Helper()
	own, _ := beside(t)
	return startServer(t, append(own, args...)...)
}

// in is the same server, seen from a part of its story.
func (s *server) in(t *testing.T) *server {
	c := *s
	c.t = t
	return &c
}

// ownSet is one scale set of a server that several stories share.
type ownSet struct {
	*server
	name string
}

// own begins a story that has a set for itself, named as the story is.
func (s *server) own(t *testing.T) ownSet {
	t.Parallel()
	name := strings.ToLower(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:])
	name = strings.Map(func(r rune) rune {
		if r == '_' || r == ',' {
			return '-'
		}
		return r
	}, name)
	return ownSet{s.in(t), strings.TrimRight(name[:min(len(name), 60)], "-")}
}

// yaml is the set's document; lines are fields of its spec, in place of the
// default of that name or beside them.
func (s ownSet) yaml(image string, lines ...string) string {
	fields := []string{
		"capacity: 1", "stopTimeout: 5s",
		"health: {path: /healthz, interval: 200ms, timeout: 2s, gracePeriod: 4s}",
		"upgradePolicy: {blueGreen: {startTimeout: 30s, bakeTime: 100ms, keepPrevious: 1m}}",
	}
	y := fmt.Sprintf("kind: ScaleSet\nname: %s\nspec:\n  image: %s\n", s.name, image)
	for _, field := range fields {
		if !hasField(lines, field) {
			y += "  " + field + "\n"
		}
	}
	for _, line := range lines {
		y += "  " + line + "\n"
	}
	return y
}

func hasField(lines []string, field string) bool {
	name, _, _ := strings.Cut(field, ":")
	for _, line := range lines {
		if strings.HasPrefix(line, name+":") {
			return true
		}
	}
	return false
}

// begin applies the set and waits until it runs.
func (s ownSet) begin(image string, lines ...string) {
	s.t.Helper()
	s.apply(s.yaml(image, lines...))
	s.runs(image)
}

// now is the set's document.
func (s ownSet) now() resource.ScaleSet {
	s.t.Helper()
	return s.server.set(s.name)
}

// runs waits until the set serves that image with all of its capacity and no rollout.
func (s ownSet) runs(image string) {
	s.t.Helper()
	s.eventually(40*time.Second, s.name+" runs "+image, func() (bool, error) {
		set := s.now()
		in := 0
		for _, i := range s.members() {
			if i.Status.Colour == set.Status.Colour && i.Status.Admission == resource.AdmissionInService &&
				i.Status.Health == resource.HealthHealthy && i.Status.Model.Image == image {
				in++
			}
		}
		return set.Status.Rollout == "" && set.Status.Model != nil && set.Status.Model.Image == image && in == set.Spec.Capacity, nil
	})
}

// members are the set's instances.
func (s ownSet) members() []resource.Instance {
	s.t.Helper()
	return s.instancesOf(s.name)
}

// rollouts are the names of the set's rollouts.
func (s ownSet) rollouts() []string {
	s.t.Helper()
	list, err := s.client.List(s.ctx(), resource.KindRollout, client.Filter{Set: s.name})
	check(s.t, err)
	names := make([]string, len(list.Items))
	for i, d := range list.Items {
		names[i] = d.Name
	}
	return names
}

// roll starts a rollout; an empty image means the stored spec.
func (s ownSet) roll(image string) string {
	s.t.Helper()
	r, err := s.start(image, false)
	check(s.t, err)
	return r.Name
}

func (s ownSet) start(image string, force bool) (resource.Rollout, error) {
	return s.client.StartRollout(s.ctx(), s.name, client.RolloutRequest{Image: image, Force: force})
}

// condition waits until the set has the condition for that reason.
func (s ownSet) condition(typ, reason string) resource.Condition {
	s.t.Helper()
	var c resource.Condition
	s.eventually(10*time.Second, fmt.Sprintf("%s has the condition %s for %s", s.name, typ, reason), func() (bool, error) {
		found := resource.FindCondition(s.now().Status.Conditions, typ)
		if found == nil || found.Reason != reason {
			return false, nil
		}
		c = *found
		return true, nil
	})
	return c
}

// plain waits until nothing is to be said about the set.
func (s ownSet) plain() {
	s.t.Helper()
	s.eventually(10*time.Second, s.name+" has no condition", func() (bool, error) {
		return len(s.now().Status.Conditions) == 0, nil
	})
}

// put applies documents as the command line does, and returns what the server says.
func (s *server) put(yaml string, o client.ApplyOptions) ([]client.Outcome, error) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "documents.yaml")
	check(s.t, os.WriteFile(path, []byte(yaml), 0o644))
	documents, err := manifest.Read([]string{path}, nil)
	check(s.t, err)
	texts := make([]json.RawMessage, len(documents))
	for i, d := range documents {
		texts[i] = d.JSON
	}
	return s.client.Apply(s.ctx(), texts, o)
}

// refused checks the code of a refusal and that its text says each of the words.
func refused(t *testing.T, err error, code resource.Code, words ...string) {
	t.Helper()
	if !resource.IsCode(err, code) {
		t.Errorf("the answer is %q (%v), want the code %s", resource.CodeOf(err), err, code)
		return
	}
	says(t, err.Error(), words...)
}

// says checks that a text for people names each of the words.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("the text does not say %q:\n%s", word, text)
		}
	}
}
