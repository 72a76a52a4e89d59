package gallery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// run runs the registry until the test ends.
func (p *place) run() {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Errorf("Run: %v", err)
		}
	})
}

// wait watches a version until it is as wanted.
func (p *place) wait(name string, want func(resource.ImageVersion) bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	w, err := p.store.Watch(ctx, p.store.Revision(), store.Filter{Kinds: []string{resource.KindImageVersion}})
	if err != nil {
		p.t.Fatal(err)
	}
	defer w.Close()
	for {
		v, ok := p.version(name)
		if ok && want(v) {
			return
		}
		if _, err := w.Next(ctx); err != nil {
			p.t.Fatalf("%s is still %+v: %v", name, v.Status, err)
		}
	}
}

func TestUseIsWrittenDown(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	one, two := p.mustPush("web", "1.0.0", "one"), p.mustPush("web", "2.0.0", "two")
	p.mustPush("shop", "1.0.0", "three")
	p.run()
	used := func(sets ...string) func(resource.ImageVersion) bool {
		return func(v resource.ImageVersion) bool { return slices.Equal(v.Status.InUseBy, sets) }
	}
	p.set("a", "web:1.0.0", one)
	p.set("b", "web:1.0.0", one)
	p.wait("web:1.0.0", used("a", "b"))
	p.set("a", "web:2.0.0", two)
	p.wait("web:2.0.0", used("a"))
	p.wait("web:1.0.0", used("b"))
	p.set("b", "shop:1.0.0", "")
	p.wait("shop:1.0.0", used("b"))
	p.wait("web:1.0.0", used())
	rollout := func(phase resource.RolloutPhase) {
		p.update(func(tx *store.Tx) error {
			_, err := store.PutAs(tx, resource.Rollout{
				Meta:   resource.Meta{Kind: resource.KindRollout, Name: "a-1"},
				Spec:   resource.RolloutSpec{Set: "a", From: resource.Reference{Image: "web:2.0.0"}, To: resource.Reference{Image: "shop:1.0.0"}},
				Status: resource.RolloutStatus{Phase: phase},
			})
			return err
		})
	}
	rollout(resource.RolloutBaking)
	p.wait("shop:1.0.0", used("a", "b"))
	rollout(resource.RolloutCancelled)
	p.wait("shop:1.0.0", used("b"))
	p.update(func(tx *store.Tx) error { return tx.Delete(resource.KindScaleSet, "a") })
	p.wait("web:2.0.0", used())
	// Excluding a version changes which is the latest.
	p.update(func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindImageVersion, "web:2.0.0", func(v *resource.ImageVersion) error {
			v.Spec.ExcludeFromLatest = true
			return nil
		})
	})
	w, err := p.store.Watch(t.Context(), 0, store.Filter{Kinds: []string{resource.KindImage}, Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for {
		if o, _ := p.image("web"); o.Status.Latest == "1.0.0" {
			return
		}
		if _, err := w.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRunAdoptsAtTheStart(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	d := p.mustPush("web", "1.0.0", "one")
	p.update(func(tx *store.Tx) error {
		return errors.Join(tx.Delete(resource.KindImageVersion, "web:1.0.0"), tx.Delete(resource.KindImage, "web"))
	})
	p.run()
	p.wait("web:1.0.0", func(v resource.ImageVersion) bool { return v.Status.Digest == d })
}

func TestManyChangesOfInstancesWakeNothing(t *testing.T) {
	t.Parallel()
	touched := newTouched()
	instance := func(image, digest string, health resource.Health) resource.Document {
		d, err := resource.Instance{
			Meta:   resource.Meta{Kind: resource.KindInstance, Name: "web_1"},
			Status: resource.InstanceStatus{Set: "web", Health: health, Model: resource.Model{Image: image, Digest: digest}},
		}.Document()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for i, c := range []struct {
		doc     resource.Document
		deleted bool
		want    []string
	}{
		{instance("web:1.0.0", "sha256:a", "Initializing"), false, []string{"web"}},
		{instance("web:1.0.0", "sha256:a", "Healthy"), false, nil},
		{instance("web:1.0.0", "sha256:a", "Unhealthy"), false, nil},
		{instance("web:1.0.0", "sha256:b", "Unhealthy"), false, []string{"web"}},
		{instance("team/shop@sha256:b", "sha256:b", "Unhealthy"), false, []string{"team/shop", "web"}},
		{instance("team/shop@sha256:b", "sha256:b", "Unhealthy"), true, []string{"team/shop"}},
		{instance("team/shop@sha256:b", "sha256:b", "Unhealthy"), true, nil},
		{resource.Document{Meta: resource.Meta{Kind: resource.KindInstance, Name: "x_1"}, Status: []byte("broken")}, false, nil},
	} {
		if got := touched.change(c.doc, c.deleted); !slices.Equal(got, c.want) {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
	}
	if len(touched.uses) != 0 {
		t.Errorf("remembered: %v", touched.uses)
	}
}

func TestLocksAreOneAtATimeAndForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLocks()
		var wg sync.WaitGroup
		inside := map[string]int{}
		for i := range 20 {
			name := fmt.Sprint(i % 2)
			wg.Go(func() {
				unlock, err := l.lock(t.Context(), name)
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				l.mu.Lock()
				inside[name]++
				if inside[name] != 1 {
					t.Errorf("%d hold %s", inside[name], name)
				}
				l.mu.Unlock()
				time.Sleep(time.Second)
				l.mu.Lock()
				inside[name]--
				l.mu.Unlock()
			})
		}
		start := time.Now()
		time.Sleep(1500 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.lock(ctx, "0"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got a lock that is held: %v", err)
		}
		wg.Wait()
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("the two names took %v, not 10 s side by side", took)
		}
		if len(l.held) > 0 {
			t.Errorf("remembered: %v", l.held)
		}
	})
}

// TestDistributionIsQuiet shows that nothing goes to standard error, whatever goes wrong.
func TestDistributionIsQuiet(t *testing.T) {
	p := newPlace(t)
	p.mustPush("hello", "1.0.0", "one")
	p.do(http.MethodGet, "/v2/hello/manifests/9.9.9", everything, "", nil)
	p.do(http.MethodPut, "/v2/hello/blobs/uploads/0b6d9f6e-0000-4000-8000-000000000000?_state=x", everything, "", nil)
	if logrus.StandardLogger().Out != io.Discard {
		t.Error("distribution's logger writes by itself")
	}
	logrus.WithField("vars.name", "hello").Error("something broke")
	if log := p.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "_state") {
		t.Errorf("log:\n%s", log)
	}
}

// TestInternalErrorsStayInside: what failed inside is logged, not told.
func TestInternalErrorsStayInside(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.mustPush("hello", "stable", "one")
	link := p.driver.full(repositoriesPath + "/hello/_manifests/tags/stable/current/link")
	if err := errors.Join(os.Remove(link), os.MkdirAll(filepath.Join(link, "a-folder"), 0o700)); err != nil {
		t.Fatal(err)
	}
	a := p.do(http.MethodGet, "/v2/hello/manifests/stable", everything, "", nil)
	if a.status != http.StatusInternalServerError || strings.Contains(a.body, p.options.Dir) || a.code() != "internal" {
		t.Errorf("%+v", a)
	}
	if !strings.Contains(p.log.String(), "is a directory") {
		t.Errorf("log:\n%s", p.log)
	}
}

// TestSilentClientIsGivenUp: a client that stops in the middle of a layer holds nothing for long.
func TestSilentClientIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		served := make(chan error, 1)
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, &patientBody{r.Body, http.NewResponseController(w)})
			served <- err
		})}
		l := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		l.conn <- server
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		w := bufio.NewWriter(client)
		_, _ = fmt.Fprint(w, "PATCH / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
		for range 5 { // slow is allowed
			_, _ = w.WriteString("x")
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(idleTimeout - time.Second)
		}
		start := time.Now()
		if err := <-served; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) > idleTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		_ = s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// oneConn is a listener of one connection.
type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func TestTooManyPushesAtATimeWaitAndThenAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &Registry{slots: make(chan struct{}, 1), driver: &durable{space: space{dir: os.TempDir()}}}
		release := make(chan struct{})
		first := make(chan error, 1)
		request := func() *http.Request {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "/", nil)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		go func() { first <- g.writing(request(), func() error { <-release; return nil }) }()
		synctest.Wait()
		if err := g.writing(request(), func() error { return nil }); resource.CodeOf(err) != resource.CodeTooManyRequests {
			t.Errorf("%v", err)
		}
		close(release)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := g.writing(request(), func() error { return nil }); err != nil {
			t.Error(err)
		}
	})
}
