package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

// A scope over a set is none over images: it is for versions of the one that the set has.
func TestWhichImagesASetMayBeGiven(t *testing.T) {
	e := newEnv(t)
	verbs := []Verb{VerbRead, VerbStart, VerbWrite}
	e.auth.known["set"] = caller{name: "set", verbs: verbs, scopes: []string{"scaleset/hello", "scaleset/fresh"}}
	e.auth.known["both"] = caller{name: "both", verbs: verbs, scopes: []string{"scaleset/hello", "scaleset/fresh", "image/other"}}
	e.put(doc(resource.KindScaleSet, "hello", `{"image":"hello:1.0.0"}`, `{}`))
	ask := func(token, method, path, body string) reply {
		e.t.Helper()
		return e.do(method, apiPrefix+path, token, body)
	}
	set := func(name, image string) string {
		return fmt.Sprintf(`{"kind":"ScaleSet","name":%q,"spec":{"image":%q}}`, name, image)
	}
	for _, c := range []struct {
		what                      string
		token, method, path, body string
		allowed                   bool
	}{
		{"a rollout to another version", "set", "POST", "/scalesets/hello/rollout", `{"image":"hello:2.0.0"}`, true},
		{"a rollout of what is stored", "set", "POST", "/scalesets/hello/rollout", `{}`, true},
		{"a rollout to another image", "set", "POST", "/scalesets/hello/rollout", `{"image":"other:1.0.0"}`, false},
		{"one that may be read", "both", "POST", "/scalesets/hello/rollout", `{"image":"other:1.0.0"}`, true},
		{"another field", "set", "PUT", "/scalesets/hello", `{"kind":"ScaleSet","name":"hello","spec":{"image":"hello:1.0.0","capacity":3}}`, true},
		{"another version", "set", "PUT", "/scalesets/hello", set("hello", "hello:2.0.0"), true},
		{"another image", "set", "PUT", "/scalesets/hello", set("hello", "other:1.0.0"), false},
		{"another image in an apply", "set", "POST", "/apply", "[" + set("hello", "other:1.0.0") + "]", false},
		{"a new set", "set", "PUT", "/scalesets/fresh", set("fresh", "hello:1.0.0"), false},
		{"a new set of what may be read", "both", "PUT", "/scalesets/fresh", set("fresh", "other:1.0.0"), true},
		{"anything, without scopes", ownerToken, "PUT", "/scalesets/hello", set("hello", "other:1.0.0"), true},
	} {
		r := ask(c.token, c.method, c.path, c.body)
		if c.allowed {
			if r.StatusCode/100 != 2 {
				t.Errorf("%s: %d %s", c.what, r.StatusCode, r.body)
			}
			continue
		}
		if p := e.want(http.StatusForbidden, r).problem(t); len(p.Errors) != 1 || !strings.HasSuffix(p.Errors[0].Pointer, "/spec/image") || !strings.Contains(p.Errors[0].Detail, "do not cover image/") {
			t.Errorf("%s: %+v", c.what, p)
		}
	}
}
