package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
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

// caller is a Principal as the tests need it.
type caller struct {
	name   string
	verbs  []Verb
	scopes []string // kind/name prefixes; none: everything
}

func (c caller) String() string { return c.name }

func (c caller) May(v Verb, kind, name, owner string) bool {
	if !slices.Contains(c.verbs, v) {
		return false
	}
	if kind == resource.KindToken && !slices.Contains(c.verbs, VerbAdminister) {
		return false
	}
	if len(c.scopes) == 0 {
		return true
	}
	target := ""
	switch kind {
	case resource.KindScaleSet:
		target = "scaleset/" + name
	case resource.KindInstance, resource.KindRollout:
		target = "scaleset/" + owner
	case resource.KindImage:
		target = "image/" + name
	case resource.KindImageVersion:
		target = "image/" + owner
	}
	return slices.Contains(c.scopes, target)
}

const (
	ownerToken  = "owner-secret"
	readerToken = "reader-secret"
	scopedToken = "scoped-secret" // writes, but only what belongs to the set hello
)

// callers is an Authenticator whose tokens can end.
type callers struct {
	mu    sync.Mutex
	known map[string]caller
	err   error
}

func newCallers() *callers {
	all := []Verb{VerbRead, VerbStart, VerbWrite, VerbAdminister}
	return &callers{known: map[string]caller{
		ownerToken:  {name: "root", verbs: all},
		readerToken: {name: "ro", verbs: all[:1]},
		scopedToken: {name: "ci", verbs: all[:3], scopes: []string{"scaleset/hello", "image/hello"}},
	}}
}

func (c *callers) Authenticate(_ context.Context, secret string) (Principal, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	if who, ok := c.known[secret]; ok {
		return who, nil
	}
	return nil, resource.Errorf(resource.CodeUnauthenticated, "not known")
}

func (c *callers) revoke(secret string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, secret)
}

// ports are the subsystems, as far as the API sees them.
type ports struct {
	store *store.Store
	// fail is returned by whatever is asked next.
	fail  error
	ready error
	logs  func(ctx context.Context, tail int, follow bool, w io.Writer) error
	asks  []resource.Ask
	tar   func(io.Writer) error
	downs int
}

func (p *ports) Create(ctx context.Context, _ Principal, name string, spec resource.TokenSpec) (string, resource.Token, error) {
	t := resource.Token{Meta: resource.Meta{Kind: resource.KindToken, Name: name}, Spec: spec, Status: resource.TokenStatus{Hash: "cafe"}}
	_, err := p.store.Update(ctx, func(tx *store.Tx) (err error) {
		t, err = store.PutAs(tx, t, store.IfRevision(0))
		return err
	})
	return "the-secret", t, err
}

func (p *ports) Revoke(ctx context.Context, name string) error {
	_, err := p.store.Update(ctx, func(tx *store.Tx) error { return tx.Delete(resource.KindToken, name) })
	return err
}

func rolloutAt(name string, revision int64) resource.Rollout {
	r := resource.Rollout{Meta: resource.Meta{Kind: resource.KindRollout, Name: name, Revision: revision}}
	r.Spec.Strategy, r.Status.Phase = resource.ModeBlueGreen, resource.RolloutStarting
	return r
}

func (p *ports) StartRollout(_ context.Context, set string, r RolloutRequest) (resource.Rollout, error) {
	out := rolloutAt(set+"-1", 7)
	out.Spec.To.Image = r.Image
	return out, p.fail
}

func (p *ports) Ask(_ context.Context, rollout string, ask resource.Ask) (resource.Rollout, error) {
	p.asks = append(p.asks, ask)
	return rolloutAt(rollout, 8), p.fail
}

func (p *ports) Rollback(_ context.Context, rollout, _ string) (resource.Rollout, bool, error) {
	return rolloutAt("hello-10", 9), rollout == "hello-9", p.fail
}

func (p *ports) Scale(ctx context.Context, set string, capacity int) (resource.ScaleSet, error) {
	var out resource.ScaleSet
	_, err := p.store.Update(ctx, func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindScaleSet, set, func(s *resource.ScaleSet) error {
			s.Spec = resource.DefaultScaleSetSpec()
			s.Spec.Capacity = capacity
			out = *s
			return p.fail
		})
	})
	return out, err
}

func (p *ports) Logs(ctx context.Context, _ string, tail int, follow bool, w io.Writer) error {
	if p.logs == nil {
		_, err := io.WriteString(w, "one\ntwo\n")
		return err
	}
	return p.logs(ctx, tail, follow, w)
}

func (p *ports) Ready() error { return p.ready }

func (p *ports) State(context.Context) SystemState {
	return SystemState{Gateway: GatewayState{State: "Running"}, Disk: DiskState{Size: 100}}
}

func (p *ports) Backup(_ context.Context, w io.Writer) error {
	if p.tar == nil {
		_, err := io.WriteString(w, "tar")
		return err
	}
	return p.tar(w)
}

func (p *ports) Down(context.Context) error {
	p.downs++
	return p.fail
}

// setWriter stands for fleet: it writes what it is given, starts a rollout when
// the image changes, and fails when it is told to.
type setWriter struct{ ports *ports }

func (w setWriter) Put(tx *store.Tx, old *resource.Document, d resource.Document, _ PutRequest) (PutResult, error) {
	if w.ports.fail != nil {
		return PutResult{}, w.ports.fail
	}
	stored, err := tx.Put(d)
	r := PutResult{Document: stored}
	if old != nil && !bytes.Equal(old.Spec, stored.Spec) {
		r.Rollout, r.Warnings = d.Name+"-1", []string{"data of 1 instance\nwould be left — behind"}
	}
	return r, err
}

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
	db, err := store.Open(t.Context(), store.Options{Dir: dir})
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

var errBoom = errors.New("boom: the key is hunter2")
