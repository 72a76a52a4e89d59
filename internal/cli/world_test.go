package cli

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/droverhq/drover/internal/api"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

const adminSecret = "drover_admin-secret"

// world is a real API on a real store, on the socket of a data folder, with
// fakes for what would run programs.
type world struct {
	t     *testing.T
	data  string
	store *store.Store
	local Local

	mu       sync.Mutex
	server   *http.Server
	downs    int
	requests []string // METHOD path Authorization
	backup   []byte
	log      string // of every instance
	rotated  int    // bytes of log that are gone
}

// newWorld makes a server whose folder has a path that fits into a socket's address.
func newWorld(t *testing.T) *world {
	t.Helper()
	data, err := os.MkdirTemp("", "drover")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	w := &world{t: t, data: data}
	w.local.Down = func(context.Context, string) (Running, error) { return Running{}, nil }
	w.write("admin.token", adminSecret+"\n")
	if err := os.Mkdir(filepath.Join(data, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	if w.store, err = store.Open(t.Context(), store.Options{Dir: filepath.Join(data, "db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	w.start()
	t.Cleanup(w.stop)
	return w
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.data, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// start serves the socket.
func (w *world) start() {
	w.t.Helper()
	handler := w.handler()
	l, err := net.Listen("unix", filepath.Join(w.data, "run", "api.sock"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server = &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go w.server.Serve(l)
}

// stop ends the server and all its connections, as kill -9 would.
func (w *world) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server.Close()
}

func (w *world) handler() http.Handler {
	w.t.Helper()
	fleet := fakeFleet{w.store}
	a, err := api.New(api.Options{
		Store: w.store, Authenticator: fakeAuth{}, Tokens: fakeTokens{w.store}, Fleet: fleet, Logs: w, System: w,
		Logger: slog.New(slog.DiscardHandler), Version: "1.2.3",
		Writers:  map[string]api.Writer{resource.KindScaleSet: fleet},
		Registry: registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		Deleters: map[string]api.Deleter{resource.KindScaleSet: fleet, resource.KindToken: fleet},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.requests = append(w.requests, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		w.mu.Unlock()
		a.ServeHTTP(out, r)
	})
}

func (w *world) Ready() error { return nil }
func (w *world) State(context.Context) api.SystemState {
	return api.SystemState{StartedAt: time.Now().Add(-time.Hour), Gateway: api.GatewayState{State: "Running", PID: 42}}
}
func (w *world) Backup(_ context.Context, out io.Writer) error {
	_, err := out.Write(w.backup)
	return err
}
func (w *world) Down(context.Context) error { w.downs++; return nil }
func (w *world) Logs(ctx context.Context, _ string, tail int, follow bool, out io.Writer) error {
	if !follow {
		_, err := fmt.Fprintf(out, "tail %d\n", tail)
		return err
	}
	mark := out.(interface {
		After() string
		Begins(string)
	})
	w.mu.Lock()
	text, at := w.log, 0
	w.mu.Unlock()
	if _, err := fmt.Sscanf(mark.After(), "life:%d", &at); err != nil && mark.After() != "" {
		return err
	}
	at = max(at, w.rotated)
	mark.Begins(fmt.Sprintf("life:%d", at))
	_, err := io.WriteString(out, text[at:])
	<-ctx.Done()
	return err
}

// put writes an object as the server's subsystems do.
func put[S, T any](w *world, o resource.Object[S, T]) {
	w.t.Helper()
	_, err := w.store.Update(w.t.Context(), func(tx *store.Tx) error {
		_, err := store.PutAs(tx, o)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

type result struct {
	code     int
	out, err string
}

// run runs a command against the world's data folder.
func (w *world) run(args ...string) result { return w.runIn(w.t.Context(), nil, "", args...) }

func (w *world) runIn(ctx context.Context, env map[string]string, stdin string, args ...string) result {
	var out, err syncBuffer
	code := Run(ctx, w.env(env, stdin, &out, &err), w.local, args)
	return result{code, out.String(), err.String()}
}

func (w *world) env(env map[string]string, stdin string, out, err io.Writer) Env {
	return Env{Stdin: strings.NewReader(stdin), Stdout: out, Stderr: err, Getenv: func(name string) string {
		if v, ok := env[name]; ok {
			return v
		}
		if name == "DROVER_DATA" {
			return w.data
		}
		return ""
	}}
}

// syncBuffer may be read while a command still writes.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// waitFor polls until the text has been written.
func waitFor(t *testing.T, b *syncBuffer, text string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); !strings.Contains(b.String(), text); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%q was not printed; this was:\n%s", text, b.String())
		}
	}
}

type fakeAuth struct{}

type admin struct{}

func (admin) String() string                            { return "admin" }
func (admin) May(api.Verb, string, string, string) bool { return true }
func (admin) MayList(string) bool                       { return true }

func (fakeAuth) Authenticate(_ context.Context, secret string) (api.Principal, error) {
	if secret != adminSecret {
		return nil, resource.Errorf(resource.CodeUnauthenticated, "the token is not known")
	}
	return admin{}, nil
}

type fakeTokens struct{ store *store.Store }

func (f fakeTokens) Create(ctx context.Context, _ api.Principal, name string, spec resource.TokenSpec) (string, resource.Token, error) {
	t := resource.Token{Meta: resource.Meta{Kind: resource.KindToken, Name: name}, Spec: spec}
	_, err := f.store.Update(ctx, func(tx *store.Tx) (err error) {
		t, err = store.PutAs(tx, t, store.IfRevision(0))
		return err
	})
	return "drover_new-secret", t, err
}

func (f fakeTokens) Revoke(ctx context.Context, name string) error {
	_, err := f.store.Update(ctx, func(tx *store.Tx) error { return tx.Delete(resource.KindToken, name) })
	return err
}

// fakeFleet accepts what it is asked and writes the documents that tell of it.
type fakeFleet struct{ store *store.Store }

func (f fakeFleet) Put(tx *store.Tx, old *resource.Document, d resource.Document, r api.PutRequest) (api.PutResult, error) {
	set, err := resource.From[resource.ScaleSetSpec, resource.ScaleSetStatus](d)
	if err != nil {
		return api.PutResult{}, err
	}
	if set.Spec.Image == "bad:1.0.0" && !r.Force {
		return api.PutResult{}, resource.Errorf(resource.CodeModelKnownBad, "the model bad:1.0.0 is known to be bad: --force overrides")
	}
	result := api.PutResult{}
	if old != nil {
		before, err := resource.From[resource.ScaleSetSpec, resource.ScaleSetStatus](*old)
		if err != nil {
			return result, err
		}
		if before.Spec.Image != set.Spec.Image {
			result.Rollout = set.Name + "-1"
			result.Warnings = []string{"a blue/green leaves data behind"}
			set.Status.Rollout = result.Rollout
		}
	}
	set, err = store.PutAs(tx, set)
	if err != nil {
		return result, err
	}
	result.Document, err = set.Document()
	return result, err
}

func (f fakeFleet) Delete(ctx context.Context, d resource.Document, _ api.DeleteRequest) (bool, error) {
	_, err := f.store.Update(ctx, func(tx *store.Tx) error {
		if d.Kind == resource.KindScaleSet {
			return store.Edit(tx, d.Kind, d.Name, func(s *resource.ScaleSet) error {
				s.Status.Deleting = &resource.Deleting{Since: time.Now().UTC()}
				return nil
			})
		}
		return tx.Delete(d.Kind, d.Name)
	})
	return d.Kind != resource.KindScaleSet, err
}

func (f fakeFleet) Operate(ctx context.Context, name string, action resource.Action, by string) (in resource.Instance, err error) {
	_, err = f.store.Update(ctx, func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindInstance, name, func(i *resource.Instance) error {
			i.Status.Operation = &resource.Operation{Action: action, By: by, At: time.Now().UTC(), Warnings: []string{"nobody\nstands in"}}
			return nil
		})
	})
	if err != nil {
		return in, err
	}
	return store.GetAs[resource.InstanceSpec, resource.InstanceStatus](ctx, f.store, resource.KindInstance, name)
}

func (f fakeFleet) StartRollout(ctx context.Context, set string, r api.RolloutRequest) (resource.Rollout, error) {
	s, err := store.GetAs[resource.ScaleSetSpec, resource.ScaleSetStatus](ctx, f.store, resource.KindScaleSet, set)
	if err != nil || s.Status.Model != nil && s.Status.Model.Image == r.Image {
		return resource.Rollout{}, err // nothing to roll out
	}
	ro := rollout(set+"-1", resource.RolloutPending)
	ro.Spec.To.Image = r.Image
	_, err = f.store.Update(ctx, func(tx *store.Tx) (err error) {
		ro, err = store.PutAs(tx, ro)
		return err
	})
	return ro, err
}

func (f fakeFleet) edit(ctx context.Context, name string, fn func(*resource.Rollout)) (resource.Rollout, error) {
	_, err := f.store.Update(ctx, func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindRollout, name, func(r *resource.Rollout) error { fn(r); return nil })
	})
	if err != nil {
		return resource.Rollout{}, err
	}
	return store.GetAs[resource.RolloutSpec, resource.RolloutStatus](ctx, f.store, resource.KindRollout, name)
}

func (f fakeFleet) Ask(ctx context.Context, name string, ask resource.Ask) (resource.Rollout, error) {
	return f.edit(ctx, name, func(r *resource.Rollout) { r.Status.Ask = &ask })
}

func (f fakeFleet) Rollback(ctx context.Context, name, _ string) (resource.Rollout, bool, error) {
	ro, err := f.edit(ctx, name, func(r *resource.Rollout) {
		if !r.Status.Phase.Terminal() {
			r.Status.Phase = resource.RolloutRollingBack
		}
	})
	if err != nil || ro.Status.Phase == resource.RolloutRollingBack {
		return ro, false, err
	}
	back := rollout(ro.Spec.Set+"-9", resource.RolloutPending)
	back.Spec.From, back.Spec.To, back.Spec.RollbackOf = ro.Spec.To, ro.Spec.From, name
	_, err = f.store.Update(ctx, func(tx *store.Tx) (err error) {
		back, err = store.PutAs(tx, back)
		return err
	})
	return back, true, err
}

func (f fakeFleet) Scale(ctx context.Context, name string, n int) (resource.ScaleSet, error) {
	_, err := f.store.Update(ctx, func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindScaleSet, name, func(s *resource.ScaleSet) error { s.Spec.Capacity = n; return nil })
	})
	if err != nil {
		return resource.ScaleSet{}, err
	}
	return store.GetAs[resource.ScaleSetSpec, resource.ScaleSetStatus](ctx, f.store, resource.KindScaleSet, name)
}

func rollout(name string, phase resource.RolloutPhase) resource.Rollout {
	set, _, _ := resource.SplitRolloutName(name)
	started := time.Now().UTC().Add(-3 * time.Second)
	r := resource.Rollout{Meta: resource.Meta{Kind: resource.KindRollout, Name: name}}
	r.Spec = resource.RolloutSpec{Set: set, Strategy: resource.ModeBlueGreen, From: resource.Reference{Image: set + ":1.0.0"}, To: resource.Reference{Image: set + ":2.0.0"}}
	r.Status = resource.RolloutStatus{Phase: phase, StartedAt: &started, NewColour: resource.Green, OldColour: resource.Blue, PhaseSince: started}
	return r
}

func scaleSet(name string, capacity int) resource.ScaleSet {
	s := resource.ScaleSet{Meta: resource.Meta{Kind: resource.KindScaleSet, Name: name, Labels: map[string]string{"tier": "web"}}}
	s.Spec.Image, s.Spec.Capacity = name+":1.0.0", capacity
	s.Status.Model = &resource.Model{Image: name + ":1.0.0", Version: "1.0.0"}
	s.Status.Instances = resource.Tally{Total: capacity, Healthy: capacity, InService: capacity}
	return s
}

func instance(name string, colour resource.Colour, version string, health resource.Health, admission resource.Admission) resource.Instance {
	set, n, _ := resource.SplitInstanceName(name)
	i := resource.Instance{Meta: resource.Meta{Kind: resource.KindInstance, Name: name}}
	i.Status = resource.InstanceStatus{
		Set: set, Colour: colour, Version: version, Health: health, Admission: admission,
		Address: fmt.Sprintf("127.0.0.1:%d", 20000+n), PID: 1000 + n, Goal: resource.GoalRun, Phase: resource.InstanceRunning,
	}
	return i
}

// tarOf is a small backup.
func tarOf(t *testing.T, content string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: "documents", Mode: 0o600, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func decodeJSON(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
}

// waitRequest polls until the server was asked for this.
func waitRequest(t *testing.T, w *world, prefix string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		w.mu.Lock()
		all := strings.Join(w.requests, "\n")
		w.mu.Unlock()
		if strings.Contains("\n"+all, "\n"+prefix) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q was not asked for; these were:\n%s", prefix, all)
		}
	}
}
