package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
)

// asked refuses everything and writes down what it was asked.
type asked struct {
	mu     sync.Mutex
	rights []string
}

func (a *asked) note(right string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rights = append(a.rights, strings.TrimSpace(right))
	return false
}

func (a *asked) String() string { return "nobody" }

func (a *asked) May(v Verb, kind, name, owner string) bool {
	return a.note(strings.Join([]string{string(v), kind, name, owner}, " "))
}

func (a *asked) MayList(kind string) bool { return a.note("list " + kind) }

func (a *asked) Authenticate(context.Context, string) (Principal, error) { return a, nil }

// take returns what was asked since the last time.
func (a *asked) take() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := strings.Join(a.rights, ", ")
	a.rights = nil
	return text
}

// nameOf are names that documents of a kind can have.
func nameOf(plural string) string {
	switch plural {
	case "instances":
		return "hello_1"
	case "rollouts":
		return "hello-1"
	case "imageversions":
		return "hello:1.0.0"
	}
	return "hello"
}

// rights is what each route that is not a kind's own asks for. What a role
// and a scope give of that is identity's to decide, and to test.
var rights = map[string]string{
	"POST /api/v1/scalesets/{name}/rollout": "start ScaleSet hello",
	"POST /api/v1/scalesets/{name}/scale":   "write ScaleSet hello",
	"POST /api/v1/rollouts/{name}/pause":    "write Rollout hello-1 hello",
	"POST /api/v1/rollouts/{name}/resume":   "write Rollout hello-1 hello",
	"POST /api/v1/rollouts/{name}/cancel":   "write Rollout hello-1 hello",
	"POST /api/v1/rollouts/{name}/promote":  "write Rollout hello-1 hello",
	"POST /api/v1/rollouts/{name}/rollback": "write Rollout hello-1 hello",
	"POST /api/v1/instances/{name}/restart": "write Instance hello_1 hello",
	"POST /api/v1/instances/{name}/reimage": "write Instance hello_1 hello",
	"POST /api/v1/instances/{name}/delete":  "write Instance hello_1 hello",
	"GET /api/v1/instances/{name}/logs":     "read Instance hello_1 hello",
	"POST /api/v1/apply":                    "write ScaleSet hello",
	"POST /api/v1/tokens":                   "write Token hello",
	"GET /api/v1/status":                    "read, read ScaleSet hello", // and answers without what is refused
	"POST /api/v1/status/acknowledge":       "administer",
	"GET /api/v1/backup":                    "administer",
	"POST /api/v1/down":                     "administer",
}

// bodies that are valid, where a right depends on them.
var bodies = map[string]string{
	"POST /api/v1/apply":  "[" + scaleSet("hello") + "]",
	"POST /api/v1/tokens": `{"name":"hello","role":"Reader"}`,
}

// wantedRight is what a route asks for: those of a kind follow from the kind.
func wantedRight(method, path string) string {
	if own, ok := rights[method+" "+path]; ok {
		return own
	}
	for _, k := range resource.Kinds {
		d := doc(k.Name, nameOf(k.Plural), `{}`, ``)
		document := strings.TrimSpace(fmt.Sprint(k.Name, " ", d.Name, " ", resource.OwnerOf(d)))
		switch {
		case path == apiPrefix+"/"+k.Plural && method == http.MethodGet:
			return "list " + k.Name
		case path != apiPrefix+"/"+k.Plural+"/{name}":
		case method == http.MethodGet:
			return "read " + document
		case method == http.MethodPut, method == http.MethodDelete:
			return "write " + document
		}
	}
	return "a right that this test does not know: add it to the table"
}

// TestEveryRouteAsksForItsRight: a route that is in the OpenAPI document and asks
// for another right than the table says, or for none, fails here.
func TestEveryRouteAsksForItsRight(t *testing.T) {
	who := &asked{}
	e := newEnv(t, func(o *Options) { o.Authenticator = who })
	e.put(doc(resource.KindScaleSet, "hello", `{"image":"hello:1.0.0"}`, `{}`))
	routes := 0
	for path, item := range e.api.api.OpenAPI().Paths {
		plural, _, _ := strings.Cut(strings.TrimPrefix(path, apiPrefix+"/"), "/")
		url := strings.ReplaceAll(path, "{name}", nameOf(plural))
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "PUT": item.Put, "POST": item.Post, "DELETE": item.Delete} {
			if op == nil {
				continue
			}
			routes++
			want := 403
			if path == apiPrefix+"/status" {
				want = 200
			}
			body := bodies[method+" "+path]
			if method == http.MethodPut {
				body = "{}"
			}
			r := e.do(method, url, "any", body)
			if got, right := who.take(), wantedRight(method, path); got != right || r.StatusCode != want {
				t.Errorf("%s %s asks for %q, not for %q, and answers %d: %s", method, path, got, right, r.StatusCode, r.body)
			}
		}
	}
	if least := 4*len(resource.Kinds) + len(rights); routes != least {
		t.Errorf("%d routes, the table has %d", routes, least)
	}
	if r := e.do("GET", "/metrics", "any", ""); who.take() != "read" || r.StatusCode != 403 {
		t.Errorf("/metrics: %d", r.StatusCode)
	}
	if e.ports.downs != 0 || len(e.ports.asks) != 0 {
		t.Errorf("what was refused was done: %+v", e.ports)
	}
}
