package api

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/goleak"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// env is a server that runs, with a store of its own.
type env struct {
	t     testing.TB
	store *store.Store
	ports *ports
	auth  *callers
	api   *Server
	http  *httptest.Server
	logs  *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// openEnv builds the API on a store in dir; the caller closes both.
func openEnv(t testing.TB, dir string, change ...func(*Options)) *env {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Dir: dir, RingSize: 8192})
	if err != nil {
		t.Fatal(err)
	}
	e := &env{t: t, store: db, ports: &ports{store: db}, auth: newCallers(), logs: &lockedBuffer{}}
	o := Options{
		Store: db, Authenticator: e.auth, Tokens: e.ports, Fleet: e.ports, Logs: e.ports, System: e.ports,
		Logger:  slog.New(slog.NewJSONHandler(e.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Version: "1.2.3", Address: "127.0.0.1:7400",
		Writers:   map[string]Writer{resource.KindScaleSet: setWriter{e.ports}},
		Heartbeat: 50 * time.Millisecond,
	}
	for _, f := range change {
		f(&o)
	}
	if e.api, err = New(o); err != nil {
		t.Fatal(err)
	}
	return e
}

// newEnv is an API that is served until the test ends.
func newEnv(t *testing.T, change ...func(*Options)) *env {
	t.Helper()
	e := openEnv(t, t.TempDir(), change...)
	e.http = httptest.NewUnstartedServer(nil)
	e.http.Config = NewHTTPServer(e.api, nil)
	e.http.Start()
	t.Cleanup(func() {
		e.api.Close()
		e.http.Close()
		if err := e.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// reply is an answer that was read whole.
type reply struct {
	*http.Response
	body []byte
}

func (r reply) decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("decode %s: %v", r.body, err)
	}
}

func (r reply) problem(t testing.TB) Problem {
	t.Helper()
	var p Problem
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type of a problem: %q", got)
	}
	r.decode(t, &p)
	if p.Status != r.StatusCode || p.Title == "" || p.Type != "urn:drover:problem:"+string(p.Code) {
		t.Errorf("problem %+v does not fit status %d", p, r.StatusCode)
	}
	return p
}

type header map[string]string

// do sends a request and checks that the answer is one that the OpenAPI document names.
func (e *env) do(method, path, token, body string, headers ...header) reply {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.http.URL+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, h := range headers {
		for k, v := range h {
			req.Header.Set(k, v)
		}
	}
	resp, err := e.http.Client().Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	r := reply{Response: resp}
	if r.body, err = io.ReadAll(resp.Body); err != nil {
		e.t.Fatal(err)
	}
	e.documented(req, body, r)
	return r
}

// documented checks an answer, and the body of a request that was accepted,
// against what the OpenAPI document says about them.
func (e *env) documented(req *http.Request, body string, r reply) {
	e.t.Helper()
	_, pattern := e.api.mux.Handler(req)
	method, path, _ := strings.Cut(pattern, " ")
	item := e.api.api.OpenAPI().Paths[path]
	if item == nil {
		return
	}
	op := map[string]*huma.Operation{"GET": item.Get, "PUT": item.Put, "POST": item.Post, "DELETE": item.Delete}[method]
	answer := op.Responses[strconv.Itoa(r.StatusCode)]
	if answer == nil {
		e.t.Errorf("%s answered %d, which is not documented: %s", pattern, r.StatusCode, r.body)
		return
	}
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if media == "" && len(r.body) == 0 && len(answer.Content) == 0 {
		return // an answer without a body, as documented
	}
	content := answer.Content[media]
	if content == nil {
		e.t.Errorf("%s answered %d as %q, which is not documented", pattern, r.StatusCode, media)
		return
	}
	if strings.HasSuffix(media, "json") {
		e.fits(pattern+" answered", content.Schema, r.body)
	}
	if r.StatusCode/100 == 2 && strings.TrimSpace(body) != "" {
		e.fits(pattern+" accepted", op.RequestBody.Content["application/json"].Schema, []byte(body))
	}
}

// fits checks a value against its documented schema.
func (e *env) fits(what string, schema *huma.Schema, raw []byte) {
	e.t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		e.t.Errorf("%s what is not JSON: %s", what, raw)
		return
	}
	var result huma.ValidateResult
	huma.Validate(e.api.api.OpenAPI().Components.Schemas, schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, v, &result)
	for _, err := range result.Errors {
		e.t.Errorf("%s what is not documented so: %v in %s", what, err, raw)
	}
}

// want fails unless the answer has that status, and returns it.
func (e *env) want(status int, r reply) reply {
	e.t.Helper()
	if r.StatusCode != status {
		e.t.Fatalf("%s %s: status %d, want %d: %s", r.Request.Method, r.Request.URL.Path, r.StatusCode, status, r.body)
	}
	return r
}

// wantCode fails unless the answer is a problem with that code, and returns it.
func (e *env) wantCode(code resource.Code, r reply) Problem {
	e.t.Helper()
	p := r.problem(e.t)
	if p.Code != code {
		e.t.Fatalf("%s %s: code %q, want %q: %s", r.Request.Method, r.Request.URL.Path, p.Code, code, r.body)
	}
	return p
}

// put writes a document past the API.
func (e *env) put(docs ...resource.Document) int64 {
	e.t.Helper()
	rev, err := e.store.Update(e.t.Context(), func(tx *store.Tx) error {
		for _, d := range docs {
			if _, err := tx.Put(d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
	return rev
}

func doc(kind, name, spec, status string) resource.Document {
	return resource.Document{
		Meta: resource.Meta{Kind: kind, Name: name}, Spec: json.RawMessage(spec), Status: json.RawMessage(status),
	}
}

func instance(set string, n int) resource.Document {
	return doc(resource.KindInstance, resource.InstanceName(set, n), `{}`, `{"set":"`+set+`","version":"1.0.0","health":"Healthy","admission":"InService"}`)
}

func scaleSet(name string) string {
	return `{"kind":"ScaleSet","name":"` + name + `","spec":{"image":"` + name + `:1.0.0"}}`
}

func balancer(name, listen string) string {
	return `{"kind":"LoadBalancer","name":"` + name + `","spec":{"listen":"` + listen + `","backend":"hello"}}`
}
