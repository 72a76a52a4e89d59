package control_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/control"
	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

const patience = 20 * time.Second

// site is a store, a control process's end and a real gateway process.
type site struct {
	t     *testing.T
	dir   string
	store *store.Store
	*control.Control
	end       func()
	ended     chan error   // what Run returned
	listener  net.Listener // of startControlWith
	expectEnd bool         // Run may fail
	program   string       // empty: this one
	log       testLog
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, store: st, log: testLog{t: t}}
	s.startControl()
	t.Cleanup(func() {
		s.stopControl()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := control.StopGateway(ctx, dir); err != nil {
			t.Errorf("stop the gateway: %v", err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "run", "gateway.log"))
			t.Logf("the gateway's log:\n%s", log)
		}
	})
	return s
}

// startControl begins what a control process's life is to the gateway.
func (s *site) startControl() { s.startControlWith(nil) }

// startControlWith first asks for a listener, as the API does.
func (s *site) startControlWith(listen func(*control.Control) (net.Listener, error)) {
	s.t.Helper()
	var err error
	if s.program == "" {
		if s.program, err = os.Executable(); err != nil {
			s.t.Fatal(err)
		}
	}
	c := control.New(control.Options{
		Store:   s.store,
		DataDir: s.dir,
		Command: []string{s.program, asGateway, filepath.Join(s.dir, "run")},
		Version: "test",
		Logger:  slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	if listen != nil {
		if s.listener, err = listen(c); err != nil {
			s.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	ended := make(chan error, 1)
	wg.Go(func() {
		err := c.Run(ctx)
		if err != nil && !s.expectEnd {
			s.t.Errorf("control: %v", err)
		}
		ended <- err
	})
	before := s.end
	s.Control, s.ended = c, ended
	s.end = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		if before != nil {
			before()
		}
	})
}

func (s *site) stopControl() { s.end() }

// testLog is what control processes log.
type testLog struct {
	t *testing.T

	mu   sync.Mutex
	text strings.Builder
}

func (l *testLog) Write(p []byte) (int, error) {
	l.t.Logf("control: %s", p)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (s *site) logged(message string) bool {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return strings.Contains(s.log.text.String(), message)
}

// update writes documents in one transaction and returns the revision.
func (s *site) update(fn func(tx *store.Tx) error) int64 {
	s.t.Helper()
	rev, err := s.store.Update(s.t.Context(), fn)
	if err != nil {
		s.t.Fatal(err)
	}
	return rev
}

// applied waits until the gateway routes by revision.
func (s *site) applied(rev int64) {
	s.t.Helper()
	s.until("revision applied", func() bool { return s.Applied(rev) })
}

func (s *site) until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited %s for: %s", patience, what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func (s *site) gatewayPID() int {
	s.t.Helper()
	var id wire.Identity
	s.until("a gateway recorded itself", func() bool {
		var ok bool
		id, ok = wire.Serving.Recorded(filepath.Join(s.dir, "run"))
		return ok && id.Alive()
	})
	return id.PID
}

func put[S, T any](tx *store.Tx, kind, name string, spec S, status T) error {
	_, err := store.PutAs(tx, resource.Object[S, T]{Meta: resource.Meta{Kind: kind, Name: name}, Spec: spec, Status: status})
	return err
}

// set writes a scale set whose health is quick to find out.
func (s *site) set(name string, change ...func(*resource.ScaleSetSpec)) int64 {
	spec := resource.DefaultScaleSetSpec()
	spec.Image = name + ":1.0.0"
	spec.Health.Interval = resource.Duration(50 * time.Millisecond)
	for _, c := range change {
		c(&spec)
	}
	return s.update(func(tx *store.Tx) error {
		return put(tx, resource.KindScaleSet, name, spec, resource.ScaleSetStatus{})
	})
}

// balancer writes a load balancer over a set on a free port.
func (s *site) balancer(name, set string, change ...func(*resource.LoadBalancerSpec)) int64 {
	spec := resource.DefaultLoadBalancerSpec()
	spec.Listen = "127.0.0.1:0"
	spec.Backend = &resource.Backend{Set: set}
	for _, c := range change {
		c(&spec)
	}
	return s.update(func(tx *store.Tx) error {
		d, err := tx.Get(resource.KindLoadBalancer, name)
		var b resource.LoadBalancer
		if err == nil {
			b, err = resource.From[resource.LoadBalancerSpec, resource.LoadBalancerStatus](d)
		} else {
			b, err = resource.LoadBalancer{Meta: resource.Meta{Kind: resource.KindLoadBalancer, Name: name}}, nil
		}
		if err != nil {
			return err
		}
		b.Spec = spec
		_, err = store.PutAs(tx, b)
		return err
	})
}

// url waits until the balancer listens.
func (s *site) url(name string) string {
	s.t.Helper()
	var address string
	s.until("balancer "+name+" listens", func() bool {
		address = s.lb(name).Status.Address
		return address != ""
	})
	return "http://" + address
}

func (s *site) lb(name string) resource.LoadBalancer {
	s.t.Helper()
	b, err := store.GetAs[resource.LoadBalancerSpec, resource.LoadBalancerStatus](s.t.Context(), s.store, resource.KindLoadBalancer, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// instance writes an instance that answers at address.
func (s *site) instance(name, version, address string, admission resource.Admission, change ...func(*resource.InstanceStatus)) int64 {
	s.t.Helper()
	set, _, ok := resource.SplitInstanceName(name)
	if !ok {
		s.t.Fatalf("%q names no instance", name)
	}
	now := time.Now()
	return s.update(func(tx *store.Tx) error {
		status := resource.InstanceStatus{
			Set: set, Version: version, Address: address, Admission: admission, StartedAt: &now,
			Health: resource.HealthInitializing, Goal: resource.GoalRun, Phase: resource.InstanceRunning,
		}
		for _, c := range change {
			c(&status)
		}
		return put(tx, resource.KindInstance, name, resource.InstanceSpec{}, status)
	})
}

// admit changes admissions in one transaction.
func (s *site) admit(admissions map[string]resource.Admission) int64 {
	s.t.Helper()
	return s.update(func(tx *store.Tx) error {
		for name, a := range admissions {
			err := store.Edit(tx, resource.KindInstance, name, func(i *resource.Instance) error {
				i.Status.Admission = a
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// workload is a program behind the gateway, in this process.
type workload struct {
	*http.Server
	address string
}

func (s *site) workload(h http.Handler) *workload {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	w := &workload{Server: &http.Server{Handler: h}, address: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Serve(l) })
	s.t.Cleanup(func() {
		_ = w.Close()
		wg.Wait()
	})
	return w
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, text) })
}

// client is one that neither retries nor keeps connections beyond the test.
func (s *site) client() *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 256}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func dump(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}
