package api

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// serve runs one request through the handler, with a path as it would arrive on the wire.
func (e *env) serve(method, target, token string, body ...string) (*httptest.ResponseRecorder, bool) {
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, false // net/http refuses it before the handler
	}
	r := &http.Request{Method: method, URL: u, RequestURI: target, Header: http.Header{}, Host: "drover", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: bodyOfRequest(body)}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := newRecorder()
	e.api.ServeHTTP(w, r.WithContext(e.t.Context()))
	return w, true
}

var paths = []string{
	"/", "/healthz/", "/healthz/..", "/healthz/../metrics", "//healthz", "/healthz;x", "/healthz%2f", "/readyz/x",
	"/metrics", "/docs", "/openapi.json", "/api", "/api/v1", "/api/v1/scalesets", "/api/v1/scalesets/", "/api/v1/scalesets/hello",
	"/api/v1/tokens", "/api/v1/down", "/api/v1/backup", "/api/v1/status", "/api/v1/../../healthz", "/api/v1//tokens",
	"/v2/../api/v1/tokens", "/v2/%2e%2e/api/v1/tokens", "/v2//api/v1/tokens", "/v2/..%2fapi/v1/tokens", "/v2x", "/V2/",
	"/nothing/here", "/.git/config", "/api/v1/images/a%2Fb", "/api/v1/images/a%2f..%2fb", "/api/v1/images/%00", "/api/v1/instances/x/logs",
	"/%61pi/v1/tokens", "/api/v1/scalesets/hello/rollout", "/debug/pprof/", "/api/v1/images/a%5cb", "/healthz?x=/../",
}

var methods = []string{"GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"}

// TestAuthenticationComesBeforeRouting: without a token nothing can be told apart.
func TestAuthenticationComesBeforeRouting(t *testing.T) {
	e := newEnv(t, func(o *Options) {
		o.Registry = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	})
	for _, path := range paths {
		for _, method := range methods {
			w, ok := e.serve(method, path, "")
			if !ok {
				continue
			}
			open := path == "/healthz?x=/../" && (method == "GET" || method == "HEAD")
			switch {
			case open && w.Code == 200:
			case w.Code != 401 || w.Header().Get("WWW-Authenticate") == "":
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/v2/": 418, "/v2": 418, "/v2/hello/manifests/1.0.0": 418} {
		if w, _ := e.serve("GET", path, ""); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	if w, _ := e.serve("POST", "/healthz", ""); w.Code != 401 {
		t.Errorf("POST /healthz: %d", w.Code)
	}
}

func FuzzAuthenticationComesBeforeRouting(f *testing.F) {
	for _, p := range paths {
		f.Add("GET", p)
	}
	f.Add("PUT", "/healthz")
	f.Fuzz(func(t *testing.T, method, path string) {
		e := sharedEnv(t)
		w, ok := e.serve(method, path, "")
		if !ok {
			return
		}
		u, _ := url.ParseRequestURI(path)
		open := (method == "GET" || method == "HEAD") && (u.Path == "/healthz" || u.Path == "/readyz")
		if open != (w.Code == 200) || !open && w.Code != 401 {
			t.Errorf("%q %q: %d", method, path, w.Code)
		}
	})
}

// sharedEnv is a server for many fuzz inputs; only the handler is used.
var sharedEnv = func() func(*testing.T) *env {
	var once sync.Once
	var e *env
	return func(t *testing.T) *env {
		once.Do(func() {
			e = &env{auth: newCallers(), logs: &lockedBuffer{}}
			e.ports = &ports{}
			gate := newGate(e.auth)
			e.api = &Server{Options: Options{System: e.ports}, gate: gate, mux: http.NewServeMux(), log: discard()}
			e.api.meter = newMeter(e.api)
		})
		e.t = t
		return e
	}
}()

// TestPathsWithAToken: what no route has is 404 or 405, and never a redirect.
func TestPathsWithAToken(t *testing.T) {
	e := newEnv(t)
	for _, path := range paths {
		for _, method := range methods {
			w, ok := e.serve(method, path, ownerToken)
			if !ok || method == "POST" && path == "/api/v1/down" {
				continue
			}
			if w.Code >= 300 && w.Code < 400 || w.Code >= 500 {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
			if w.Code >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: %d is no problem: %s", method, path, w.Code, w.Body)
			}
		}
	}
	w, _ := e.serve("PATCH", "/api/v1/scalesets/hello", ownerToken)
	if w.Code != 405 || w.Header().Get("Allow") != "GET, PUT, DELETE" {
		t.Errorf("PATCH: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestTokensThatAreNone(t *testing.T) {
	e := newEnv(t)
	for _, h := range []string{"", "Bearer", "Bearer ", "bearer", "Basic eDp4", "Token " + ownerToken, ownerToken, "Bearer " + strings.Repeat("x", 600)} {
		r := e.do("GET", "/api/v1/images", "", "", header{"Authorization": h})
		e.wantCode(resource.CodeUnauthenticated, r)
	}
	e.want(200, e.do("GET", "/api/v1/images", "", "", header{"Authorization": "bearer " + ownerToken}))
	// A token in the URL is no token, and not a parameter either.
	e.wantCode(resource.CodeUnauthenticated, e.do("GET", "/api/v1/images?access_token="+ownerToken, "", ""))
	if strings.Contains(e.logs.String(), ownerToken) {
		t.Error("a token is in the log")
	}
	e.auth.err = errors.New("the store is gone")
	e.wantCode(resource.CodeInternal, e.do("GET", "/api/v1/images", ownerToken, ""))
}

// TestGuessingIsSlowButLocksNobodyOut in fake time.
func TestGuessingIsSlowButLocksNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(newCallers())
		enter := func(secret string) error {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+secret)
			return g.enter(r, &call{})
		}
		began := time.Now()
		var wg sync.WaitGroup
		for range wrongTokensAtOnce {
			wg.Go(func() {
				if err := enter("guess"); !resource.IsCode(err, resource.CodeUnauthenticated) {
					t.Errorf("a guess: %v", err)
				}
			})
		}
		synctest.Wait()
		if err := enter("one more"); !resource.IsCode(err, resource.CodeTooManyRequests) {
			t.Errorf("a guess too many: %v", err)
		}
		if err := enter(ownerToken); err != nil || time.Since(began) != 0 {
			t.Errorf("a valid token had to wait %s: %v", time.Since(began), err)
		}
		wg.Wait()
		if took := time.Since(began); took != wrongTokenDelay {
			t.Errorf("guesses took %s", took)
		}
	})
}

// access is one request, and the status that each caller gets; a single digit means its class.
type access struct {
	method, path, body    string
	owner, reader, scoped int
}

var accesses = []access{
	{"GET", "/api/v1/scalesets/hello", "", 2, 2, 2},
	{"GET", "/api/v1/scalesets/other", "", 2, 2, 403},
	{"GET", "/api/v1/scalesets/absent", "", 404, 404, 403},
	{"GET", "/api/v1/instances/hello_1", "", 2, 2, 2},
	{"GET", "/api/v1/instances/other_1", "", 2, 2, 403},
	{"GET", "/api/v1/instances/other_1/logs", "", 2, 2, 403},
	{"GET", "/api/v1/instances/hello_1/logs", "", 2, 2, 2},
	{"GET", "/api/v1/rollouts/hello-1", "", 2, 2, 2},
	{"GET", "/api/v1/rollouts/other-1", "", 2, 2, 403},
	{"GET", "/api/v1/loadbalancers/front", "", 2, 2, 403},
	{"GET", "/api/v1/images/hello", "", 2, 2, 2},
	{"GET", "/api/v1/imageversions/other:1.0.0", "", 2, 2, 403},
	{"GET", "/api/v1/tokens/any", "", 404, 403, 403},
	{"PUT", "/api/v1/scalesets/hello", scaleSet("hello"), 2, 403, 2},
	{"PUT", "/api/v1/scalesets/other", scaleSet("other"), 2, 403, 403},
	{"PUT", "/api/v1/loadbalancers/front", balancer("front", "127.0.0.1:8080"), 2, 403, 403},
	{"POST", "/api/v1/scalesets/hello/rollout", "", 2, 403, 2},
	{"POST", "/api/v1/scalesets/other/rollout", "", 2, 403, 403},
	{"POST", "/api/v1/scalesets/hello/scale", `{"capacity":1}`, 2, 403, 2},
	{"POST", "/api/v1/scalesets/other/scale", `{"capacity":1}`, 2, 403, 403},
	{"POST", "/api/v1/rollouts/hello-1/cancel", "", 2, 403, 2},
	{"POST", "/api/v1/rollouts/other-1/cancel", "", 2, 403, 403},
	{"POST", "/api/v1/tokens", `{"role":"Reader"}`, 2, 403, 403},
	{"GET", "/metrics", "", 2, 2, 403},
	{"GET", "/api/v1/backup", "", 2, 403, 403},
	{"GET", "/api/v1/status", "", 2, 2, 2},
	{"DELETE", "/api/v1/loadbalancers/front", "", 2, 403, 403},
	{"POST", "/api/v1/status/acknowledge", "", 2, 403, 403},
	{"POST", "/api/v1/down", "", 2, 403, 403},
}

// TestScopes: what each caller may do to what it covers and what it does not.
func TestScopes(t *testing.T) {
	e := newEnv(t)
	e.put(
		doc(resource.KindScaleSet, "hello", `{"image":"hello:1.0.0"}`, `{}`), doc(resource.KindScaleSet, "other", `{"image":"other:1.0.0"}`, `{}`),
		instance("hello", 1), instance("other", 1), doc(resource.KindRollout, "hello-1", `{"set":"hello"}`, `{}`), doc(resource.KindRollout, "other-1", `{"set":"other"}`, `{}`),
		doc(resource.KindLoadBalancer, "front", `{"listen":"127.0.0.1:8080","backend":"hello"}`, `{}`),
		doc(resource.KindImage, "hello", `{}`, ``), doc(resource.KindImageVersion, "other:1.0.0", `{}`, `{}`),
	)
	for _, c := range accesses {
		// The least powerful go first: what they may not do is then still there to do.
		for _, by := range []struct {
			token string
			want  int
		}{{readerToken, c.reader}, {scopedToken, c.scoped}, {ownerToken, c.owner}} {
			r := e.do(c.method, c.path, by.token, c.body)
			if got := r.StatusCode; got != by.want && got/100 != by.want {
				t.Errorf("%s %s by %s: %d, want %d: %s", c.method, c.path, by.token, got, by.want, r.body)
			}
		}
	}
	if e.ports.downs != 1 {
		t.Errorf("down was asked for %d times", e.ports.downs)
	}
	e.onlyCovered()
}

// onlyCovered checks what lists and the status show to a caller with a scope.
func (e *env) onlyCovered() {
	t := e.t
	for path, want := range map[string]int{"scalesets": 1, "instances": 1, "rollouts": 1, "images": 1, "imageversions": 0, "loadbalancers": 0} {
		var l List
		e.want(200, e.do("GET", "/api/v1/"+path, scopedToken, "")).decode(t, &l)
		if len(l.Items) != want {
			t.Errorf("%s: %d visible, want %d", path, len(l.Items), want)
		}
	}
	e.want(403, e.do("GET", "/api/v1/tokens", scopedToken, "")) // none of them can be the caller's to see
	var s Status
	e.want(200, e.do("GET", "/api/v1/status", scopedToken, "")).decode(t, &s)
	if len(s.Sets) != 1 || s.System != nil {
		t.Errorf("status for a scope: %+v", s)
	}
	e.want(200, e.do("GET", "/api/v1/status", readerToken, "")).decode(t, &s)
	if len(s.Sets) != 2 || s.System == nil || s.System.Gateway.State != "Running" {
		t.Errorf("status: %+v", s)
	}
}

func TestReadiness(t *testing.T) {
	e := newEnv(t)
	e.ports.ready = errors.New("the disk /secret/place is full")
	r := e.want(503, e.do("GET", "/readyz", "", ""))
	if strings.Contains(string(r.body), "secret") {
		t.Errorf("anyone can read why: %s", r.body)
	}
	e.want(200, e.do("GET", "/healthz", "", ""))
}

// TestHeadersAreBounded on a real connection.
func TestHeadersAreBounded(t *testing.T) {
	e := newEnv(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", e.http.URL+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	resp, err := e.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}
