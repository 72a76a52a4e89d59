package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestJudge(t *testing.T) {
	cases := []struct {
		believed            bool
		successes, failures int
		up, down            int
		want                bool
	}{
		{false, 0, 0, 1, 3, false},
		{true, 0, 0, 1, 3, true}, // a hint holds until a probe says otherwise
		{false, 1, 0, 1, 3, true},
		{false, 1, 0, 2, 3, false},
		{false, 2, 0, 2, 3, true},
		{true, 0, 2, 1, 3, true},
		{true, 0, 3, 1, 3, false},
		{false, 0, 9, 1, 3, false},
		{true, 0, 1, 0, 0, false}, // a threshold of 0 is 1
	}
	for _, c := range cases {
		got := Judge(c.believed, Result{Successes: c.successes, Failures: c.failures}, c.up, c.down)
		if got != c.want {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

// log is an Asker that remembers when it was asked.
type log struct {
	mu    sync.Mutex
	began time.Time
	at    []time.Duration
	err   error
}

func (l *log) ask(context.Context, Target) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = append(l.at, time.Since(l.began))
	return l.err
}

func (l *log) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *log) times() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.at)
}

func ms(list ...int) (d []time.Duration) {
	for _, n := range list {
		d = append(d, time.Duration(n)*time.Millisecond)
	}
	return d
}

func TestProbesAreQuickUntilTheFirstSuccessThenSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{began: time.Now(), err: errors.New("not yet")}
		p := New(l.ask)
		defer p.Close()
		w := p.Watch(Target{Address: "a", Interval: time.Second, Timeout: time.Second}, func(Result) {})
		defer w.Stop()
		time.Sleep(2500 * time.Millisecond)
		want := ms(0, 25, 75, 175, 375, 775, 1575)
		if got := l.times(); !slices.Equal(got, want) {
			t.Errorf("before the first success: asked at %v, want %v", got, want)
		}
		l.set(nil)
		time.Sleep(3 * time.Second) // 2575, 3575, 4575
		l.set(errors.New("broken"))
		time.Sleep(3 * time.Second) // 5575 …: a failure later on does not make it quick
		want = append(want, ms(2575, 3575, 4575, 5575, 6575, 7575)...)
		if got := l.times(); !slices.Equal(got, want) {
			t.Errorf("asked at %v, want %v", got, want)
		}
		w.Hurry()
		time.Sleep(100 * time.Millisecond)
		want = append(want, ms(8500, 8525, 8575)...)
		if got := l.times(); !slices.Equal(got, want) {
			t.Errorf("after Hurry: asked at %v, want %v", got, want)
		}
	})
}

// told remembers what a watch was told.
type told struct {
	mu   sync.Mutex
	list []Result
}

func (l *told) tell(r Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, r)
}

func (l *told) all() []Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

func TestEqualTargetsShareOneProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{began: time.Now()}
		p := New(l.ask)
		defer p.Close()
		target := Target{Address: "a", Path: "/healthz", Interval: time.Second, Timeout: time.Second}
		var first, second told
		a := p.Watch(target, first.tell)
		time.Sleep(1500 * time.Millisecond)
		b := p.Watch(target, second.tell)
		if got := second.all(); len(got) != 1 || got[0].Successes != 2 {
			t.Errorf("the second watch was told %v at once, want what is known", got)
		}
		time.Sleep(time.Second)
		a.Stop()
		time.Sleep(time.Second)
		b.Stop()
		time.Sleep(5 * time.Second)
		if got, want := l.times(), ms(0, 1000, 2000, 3000); !slices.Equal(got, want) {
			t.Errorf("asked at %v, want %v", got, want)
		}
		if a, b := len(first.all()), len(second.all()); a != 3 || b != 3 {
			t.Errorf("the watches were told %d and %d results", a, b)
		}
		other := target
		other.Started = 1 // another process at the same address
		w := p.Watch(other, func(r Result) {
			if r.Successes != 1 {
				t.Errorf("a new process began with %d successes", r.Successes)
			}
		})
		synctest.Wait()
		w.Stop()
	})
}

func TestWhatIsHealthy(t *testing.T) {
	mux := http.NewServeMux()
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }
	}
	mux.HandleFunc("/ok", answer(200))
	mux.HandleFunc("/created", answer(201))
	mux.HandleFunc("/nothing", answer(204))
	mux.HandleFunc("/broken", answer(503))
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(200)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		for range 1 << 10 {
			fmt.Fprint(w, strings.Repeat("x", 1<<10))
		}
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	srv := httptest.NewUnstartedServer(mux)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	defer srv.Close()
	address := srv.Listener.Addr().String()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()

	cases := []struct {
		address, path string
		healthy       bool
	}{
		{address, "/ok", true},
		{address, "/early", true},
		{address, "/large", true},
		{address, "/created", false},
		{address, "/nothing", false},
		{address, "/broken", false},
		{address, "/elsewhere", false},
		{address, "/slow", false},
		{address, "", true},
		{closed.Addr().String(), "", false},
		{closed.Addr().String(), "/ok", false},
	}
	for _, c := range cases {
		t.Run(c.path, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			for _, h2c := range []bool{false, true} {
				err := Network(nil)(ctx, Target{Address: c.address, Path: c.path, H2C: h2c, Timeout: 500 * time.Millisecond})
				if (err == nil) != c.healthy {
					t.Errorf("by HTTP/2 %v: got %v", h2c, err)
				}
			}
		})
	}
	forbidden := Network(func(a string) bool { return a == address })
	if err := forbidden(t.Context(), Target{Address: address}); err == nil {
		t.Error("an address of ours was probed")
	}
}
