package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

// shelves are host paths without a file system.
type shelves struct {
	resource.HostPaths
	missing *string // what is in no file system
}

func (s shelves) Check(path string, _ bool) error {
	if path == *s.missing {
		return errors.New(path + " does not exist, or its folder does not")
	}
	return nil
}

func withLog(name, log string) string {
	return fmt.Sprintf(`{"kind":"LoadBalancer","name":%q,"spec":{"listen":"127.0.0.1:0","backend":"hello","accessLog":%s}}`, name, log)
}

func TestWhoMayNameFilesOfTheMachine(t *testing.T) {
	missing := "/srv/none/log"
	e := newEnv(t, func(o *Options) {
		o.HostFiles = shelves{resource.HostPaths{Data: "/srv/data", Folders: []string{"/srv"}}, &missing}
	})
	const writer = "writer"
	e.auth.known[writer] = caller{name: "writer", verbs: []Verb{VerbRead, VerbStart, VerbWrite}}
	for _, c := range []struct {
		token, file string
		status      int
		detail      string
	}{
		{writer, "/srv/a", 201, ""},
		{writer, "/srv/a/../b", 400, "write /srv/b"},
		{writer, "/etc/a", 403, "only an Owner"},
		{writer, "/srv", 403, "only an Owner"},
		{writer, "/srvs/a", 403, "(/srv)"},
		{ownerToken, "/etc/a", 201, ""},
		{ownerToken, "/srv/data/a", 400, "data folder"},
		{writer, "/srv/data/a", 400, "data folder"},
		{writer, missing, 400, "does not exist"},
	} {
		t.Run(c.token+c.file, func(t *testing.T) {
			e := *e
			e.t = t
			name := fmt.Sprintf("lb%d", len(c.token)*100+len(c.file))
			for _, ask := range [][3]string{
				{"POST", "/api/v1/apply", "[" + withLog(name, fmt.Sprintf(`{"file":%q}`, c.file)) + "]"},
				{"PUT", "/api/v1/loadbalancers/" + name, withLog(name, fmt.Sprintf(`{"file":%q}`, c.file))},
			} {
				r := e.do(ask[0], ask[1], c.token, ask[2])
				if c.detail == "" {
					if r.StatusCode/100 != 2 {
						t.Errorf("%s: %d %s", ask[0], r.StatusCode, r.body)
					}
					continue
				}
				p := e.want(c.status, r).problem(t)
				if len(p.Errors) != 1 || !strings.HasSuffix(p.Errors[0].Pointer, "/spec/accessLog/file") || !strings.Contains(p.Errors[0].Detail, c.detail) {
					t.Errorf("%s: %+v", ask[0], p)
				}
			}
		})
	}
}

// What an Owner has allowed stays so for who changes something else, and a file that
// went missing is no reason to refuse a document that names it already.
func TestAFileThatWasNamedBefore(t *testing.T) {
	missing := ""
	e := newEnv(t, func(o *Options) { o.HostFiles = shelves{missing: &missing} })
	e.auth.known["writer"] = caller{name: "writer", verbs: []Verb{VerbRead, VerbStart, VerbWrite}}
	e.want(http.StatusCreated, e.do("PUT", "/api/v1/loadbalancers/front", ownerToken, withLog("front", `{"file":"/srv/a"}`)))
	missing = "/srv/a"
	e.want(http.StatusOK, e.do("PUT", "/api/v1/loadbalancers/front", "writer", withLog("front", `{"file":"/srv/a","keep":7}`)))
	e.want(http.StatusForbidden, e.do("PUT", "/api/v1/loadbalancers/front", "writer", withLog("front", `{"file":"/srv/b"}`)))
	e.want(http.StatusForbidden, e.do("PUT", "/api/v1/loadbalancers/other", "writer", withLog("other", `{"file":"/srv/a"}`)))
}

func TestAccessLogsThatWouldNotGetOn(t *testing.T) {
	missing := ""
	e := newEnv(t, func(o *Options) { o.HostFiles = shelves{missing: &missing} })
	e.want(http.StatusCreated, e.do("PUT", "/api/v1/loadbalancers/front", ownerToken, withLog("front", `{"file":"/srv/a"}`)))
	for log, want := range map[string]string{
		`{"file":"/srv/a"}`:                   "",
		`{"file":"/srv/b"}`:                   "",
		`{"file":"/srv/a.x"}`:                 "",
		`{"file":"/srv/a","keep":6}`:          "the load balancer front, too, with maxBytes 100MiB and keep 5",
		`{"file":"/srv/a","maxBytes":"1MiB"}`: "write the same, or another file",
		`{"file":"/srv/a.1"}`:                 "renamed over each other",
		`{"file":"/srv/a.12"}`:                "renamed over each other",
	} {
		r := e.do("PUT", "/api/v1/loadbalancers/other", ownerToken, withLog("other", log))
		if want == "" {
			if r.StatusCode/100 != 2 {
				t.Errorf("%s: %s", log, r.body)
			}
			continue
		}
		if p := e.want(http.StatusBadRequest, r).problem(t); len(p.Errors) != 1 || p.Errors[0].Pointer != "/spec/accessLog/file" || !strings.Contains(p.Errors[0].Detail, want) {
			t.Errorf("%s: %+v", log, p)
		}
	}
	both := "[" + withLog("front", `{"file":"/srv/a","keep":9}`) + "," + withLog("other", `{"file":"/srv/a","keep":9}`) + "]"
	e.want(http.StatusOK, e.do("POST", "/api/v1/apply", ownerToken, both))
}
