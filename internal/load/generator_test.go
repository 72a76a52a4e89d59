package load

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// scripted answers its first requests as the script says and ends the load with
// the last of them; more are answered well.
type scripted struct {
	mu     sync.Mutex
	script []int // statuses; 0: the connection is cut
	seen   int
	posts  int
	nonces map[string]int
	end    func()
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	status := s.next(r)
	w.Header().Set(VersionHeader, "1.0.0")
	if status == 0 {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
}

func (s *scripted) next(r *http.Request) (status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nonces[r.Header.Get(NonceHeader)]++
	if r.Method == http.MethodPost {
		s.posts++
	}
	s.seen++
	switch {
	case s.seen > len(s.script):
		return http.StatusOK
	case s.seen == len(s.script):
		s.end()
	}
	return s.script[s.seen-1]
}

// TestCountsWhatHappened: each request is counted once, as what became of it.
func TestCountsWhatHappened(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &scripted{script: []int{200, 503, 500, 0, 502, 200, 504, 404, 200, 200}, nonces: map[string]int{}, end: cancel}
	srv := httptest.NewServer(s)
	defer srv.Close()
	g := New(Options{Address: strings.TrimPrefix(srv.URL, "http://"), Connections: 4, PostEvery: 3, BodyBytes: 100})
	g.Run(ctx)
	got := g.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := uint64(s.seen) // up to one more a connection was on its way when the load ended
	if got.Requests != sent || got.Failed != 4 || got.Errors != 1 || got.Refused != 0 || got.ByVersion["1.0.0"] != sent-4 {
		t.Errorf("%d were sent: %+v", sent, got)
	}
	if len(got.Failures) != 4 || uint64(len(s.nonces)) != sent {
		t.Errorf("%d nonces for %d requests, failed %v", len(s.nonces), sent, got.Failures)
	}
	for _, f := range got.Failures {
		if f.Sent.IsZero() || f.Ended.Before(f.Sent) {
			t.Errorf("%s was in flight from %s to %s", f, f.Sent, f.Ended)
		}
	}
	answered := 0
	for _, n := range got.Latency {
		answered += int(n)
	}
	if uint64(answered) != sent-4 {
		t.Errorf("the latency of %d requests was measured, %d were answered", answered, sent-4)
	}
}

// TestEveryNthIsAPost on one connection, whose order is known.
func TestEveryNthIsAPost(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &scripted{script: []int{200, 200, 200, 200, 200, 200}, nonces: map[string]int{}, end: cancel}
	srv := httptest.NewServer(s)
	defer srv.Close()
	New(Options{Address: strings.TrimPrefix(srv.URL, "http://"), Connections: 1, PostEvery: 3, BodyBytes: 100}).Run(ctx)
	if s.posts != 2 || s.seen != 6 {
		t.Errorf("%d of %d were POSTs", s.posts, s.seen)
	}
}

func TestARefusedConnectionIsSeen(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	address := strings.TrimPrefix(srv.URL, "http://")
	srv.Close()
	g := New(Options{Address: address, Connections: 1})
	c := &connection{o: g.o}
	_, err := c.exchange("nonce", false, nil)
	g.tally.count(outcome{nonce: "nonce", err: err})
	if s := g.Stats(); s.Failed != 1 || s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

// TestClosedConnectionsAreSeen: in order, when the answer told so; else the next
// request on it has failed without being sent.
func TestClosedConnectionsAreSeen(t *testing.T) {
	for _, told := range []bool{true, false} {
		closed := make(chan struct{}, 4) // more than connections
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if told {
				w.Header().Set("Connection", "close")
			}
		}))
		srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				closed <- struct{}{}
			}
		}
		srv.Start()
		g := New(Options{Address: strings.TrimPrefix(srv.URL, "http://"), Connections: 1})
		c := &connection{o: g.o}
		g.send(c, time.Now(), "one", false)
		if !told {
			srv.CloseClientConnections()
		}
		<-closed
		g.send(c, time.Now(), "two", false)
		g.send(c, time.Now(), "three", false)
		c.close()
		srv.Close()
		s := g.Stats()
		want := Stats{Requests: 3, Told: 3}
		if !told {
			want = Stats{Requests: 3, Failed: 1, Dropped: 1}
		}
		if s.Requests != want.Requests || s.Failed != want.Failed || s.Dropped != want.Dropped || s.Told != want.Told {
			t.Errorf("told %v: %+v", told, s)
		}
		if !told && (len(s.Failures) != 1 || !s.Failures[0].Idle || !strings.Contains(s.Failures[0].What, "two")) {
			t.Errorf("failures: %v", s.Failures)
		}
	}
}
