package api

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzBodies: whatever is sent, the server neither fails nor writes in a dry run.
func FuzzBodies(f *testing.F) {
	for _, body := range []string{
		"", "null", "[]", "{}", "[null]", scaleSet("web"), "[" + scaleSet("web") + "]", balancer("web", "127.0.0.1:80"),
		`{"kind":"Image","name":"web","spec":{}}`, `{"capacity":3}`, `{"for":"1h"}`, `{"role":"Owner","expires":"1h"}`,
		`{"a":1,"a":2}`, "\xff\xfe", strings.Repeat("[", 200), `{"kind":"ScaleSet","name":"web","spec":{"env":{"\u0000":1e999}}}`,
	} {
		f.Add(body)
	}
	e := openEnv(f, f.TempDir())
	f.Cleanup(func() {
		e.api.Close()
		e.store.Close()
	})
	f.Fuzz(func(t *testing.T, body string) {
		e.t = t
		for _, target := range []string{
			"PUT /api/v1/images/web?dryRun=true", "PUT /api/v1/scalesets/web?dryRun=true", "PUT /api/v1/loadbalancers/web?dryRun=true",
			"POST /api/v1/apply?dryRun=true", "POST /api/v1/scalesets/web/scale", "POST /api/v1/rollouts/web-1/pause",
		} {
			method, path, _ := strings.Cut(target, " ")
			w, _ := e.serve(method, path, ownerToken, body)
			if w.Code >= http.StatusInternalServerError {
				t.Errorf("%s: %d %s", target, w.Code, w.Body)
			}
		}
		if e.store.Revision() != 0 {
			t.Errorf("%q was written", body)
		}
	})
}

func bodyOfRequest(body []string) io.ReadCloser {
	if len(body) == 0 {
		return http.NoBody
	}
	return io.NopCloser(strings.NewReader(body[0]))
}
