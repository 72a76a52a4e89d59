package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Every row of "spec is the wish, status is what runs", for a set that runs web:1.0.0.
func TestJudge(t *testing.T) {
	const running = "web:1.0.0"
	for name, c := range map[string]struct {
		change  func(*resource.ScaleSet) // of the wish
		state   func(*resource.ScaleSet) // of what is stored
		force   bool
		start   bool
		code    resource.Code
		rollout string // the image that a rollout goes to
		missing bool   // the condition ImageNotFound
	}{
		"unchanged":                        {},
		"unchanged while a rollout runs":   {state: rolling},
		"capacity while a rollout runs":    {state: rolling, change: func(s *resource.ScaleSet) { s.Spec.Capacity = 9 }},
		"another version":                  {change: image("web:2.0.0"), rollout: "web:2.0.0"},
		"another version while rolling":    {state: rolling, change: image("web:2.0.0"), code: resource.CodeRolloutInProgress},
		"back to what runs":                {state: asks("web:2.0.0"), change: image(running)},
		"env alone":                        {change: env, rollout: running},
		"a bad model":                      {state: bad, change: image("web:2.0.0"), code: resource.CodeModelKnownBad},
		"a bad model by force":             {state: bad, change: image("web:2.0.0"), force: true, rollout: "web:2.0.0"},
		"the stored bad model by force":    {state: func(s *resource.ScaleSet) { bad(s); asks("web:2.0.0")(s) }, force: true, rollout: "web:2.0.0", change: image("web:2.0.0")},
		"a missing version":                {change: image("web:7.0.0"), missing: true},
		"a start of a missing version":     {change: image("web:7.0.0"), start: true, code: resource.CodeImageNotFound},
		"manual mode stores":               {state: manual, change: func(s *resource.ScaleSet) { manual(s); s.Spec.Image = "web:2.0.0" }},
		"a start in manual mode":           {state: func(s *resource.ScaleSet) { manual(s); asks("web:2.0.0")(s) }, change: func(s *resource.ScaleSet) { manual(s); s.Spec.Image = "web:2.0.0" }, start: true, rollout: "web:2.0.0"},
		"a start of what runs":             {start: true},
		"by digest what runs":              {change: image("web@" + digest(1))},
		"by digest another":                {change: image("web@" + digest(3)), rollout: "web@" + digest(3)},
		"beginning to follow":              {change: image("web"), rollout: "web:3.0.0"},
		"following on":                     {state: asks("web"), change: image("web")},
		"never to a lower version":         {state: func(s *resource.ScaleSet) { badVersion(s, 3); badVersion(s, 2); s.Status.Model.Version = "1.5.0" }, change: image("web")},
		"follow keeps it for another env":  {state: asks("web"), change: func(s *resource.ScaleSet) { s.Spec.Image = "web"; env(s) }, rollout: running},
		"a start of a followed image":      {state: asks("web"), change: image("web"), start: true, rollout: "web:3.0.0"},
		"a start skips a bad newest":       {state: func(s *resource.ScaleSet) { asks("web")(s); badVersion(s, 3) }, change: image("web"), start: true, rollout: "web:2.0.0"},
		"anything while it is deleted":     {state: func(s *resource.ScaleSet) { s.Status.Deleting = &resource.Deleting{} }, code: resource.CodeConflict},
		"bad is not what a digest says":    {state: bad, change: image("web:3.0.0"), rollout: "web:3.0.0"},
		"an excluded version by its name":  {change: image("web:4.0.0"), rollout: "web:4.0.0"},
		"an image that nobody ever pushed": {change: image("other:1.0.0"), missing: true},
	} {
		t.Run(name, func(t *testing.T) {
			old := runningSet(running)
			if c.state != nil {
				c.state(&old)
			}
			wish := runningSet(running)
			wish.Spec = old.Spec
			if c.change != nil {
				c.change(&wish)
			}
			v, err := Judge(Wish{Old: &old, New: wish, Versions: versions(wish.Spec.Image), Force: c.force, Start: c.start, Now: time.Unix(1e9, 0)})
			if (c.code == "") != (err == nil) || (err != nil && resource.CodeOf(err) != c.code) {
				t.Fatalf("error %v, want code %q", err, c.code)
			}
			if err != nil {
				return
			}
			got := ""
			if v.Rollout != nil {
				got = v.Rollout.Spec.To.Image
			}
			if got != c.rollout {
				t.Errorf("the rollout goes to %q, want %q", got, c.rollout)
			}
			if missing := resource.FindCondition(v.Set.Status.Conditions, resource.ConditionImageNotFound) != nil; missing != c.missing {
				t.Errorf("ImageNotFound is %v", missing)
			}
			if c.force && len(v.Set.Status.BadModels) > 0 {
				t.Error("force did not forget")
			}
		})
	}
}

func digest(n byte) string {
	text := []byte("sha256:0000000000000000000000000000000000000000000000000000000000000000")
	text[len(text)-1] += n
	return string(text)
}

func versions(image string) []resource.ImageVersion {
	ref, err := resource.ParseImageRef(image)
	if err != nil || ref.Name != "web" {
		return nil
	}
	var list []resource.ImageVersion
	for i, name := range []string{"web:1.0.0", "web:2.0.0", "web:3.0.0", "web:4.0.0"} {
		v := resource.ImageVersion{Meta: resource.Meta{Kind: resource.KindImageVersion, Name: name}}
		v.Status.Digest, v.Spec.ExcludeFromLatest = digest(byte(i+1)), name == "web:4.0.0"
		list = append(list, v)
	}
	return list
}

func runningSet(image string) resource.ScaleSet {
	set := resource.ScaleSet{Meta: resource.Meta{Kind: resource.KindScaleSet, Name: "web"}}
	set.Spec = resource.DefaultScaleSetSpec()
	set.Spec.Image, set.Spec.Capacity = image, 3
	m := resource.ModelOf(set.Spec, "web:1.0.0", digest(1), "1.0.0")
	set.Status = resource.ScaleSetStatus{Model: &m, Colour: resource.Blue}
	return set
}

func image(ref string) func(*resource.ScaleSet) {
	return func(s *resource.ScaleSet) { s.Spec.Image = ref }
}

var asks = image

func env(s *resource.ScaleSet)     { s.Spec.Env = map[string]string{"A": "b"} }
func rolling(s *resource.ScaleSet) { s.Status.Rollout = "web-1" }
func manual(s *resource.ScaleSet)  { s.Spec.UpgradePolicy.Mode = resource.ModeManual }
func bad(s *resource.ScaleSet)     { badVersion(s, 2) }

func badVersion(s *resource.ScaleSet, n byte) {
	m := resource.ModelOf(s.Spec, "web:"+fmt.Sprint(n)+".0.0", digest(n), fmt.Sprint(n)+".0.0")
	s.Status.BadModels = append(s.Status.BadModels, resource.BadModel{Key: m.Key(), Model: m, Rollout: "web-1"})
}
