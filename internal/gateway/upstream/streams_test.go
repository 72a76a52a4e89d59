package upstream

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/h2"
)

// serve2 is a backend of HTTP/2 that counts its connections.
func serve2(t *testing.T, h http.Handler, streams int) (b *Backend, open *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open = new(atomic.Int64)
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: h, Protocols: p, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams}, ConnState: func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	b = New(l.Addr().String(), 0, nil)
	t.Cleanup(func() {
		b.Close()
		_ = srv.Close()
		wg.Wait()
	})
	return b, open
}

func asking() *h2.Ask {
	f := func(name, value string) h1.Field { return h1.Field{Name: []byte(name), Value: []byte(value)} }
	return &h2.Ask{Fields: []h1.Field{f(":method", "GET"), f(":scheme", "http"), f(":authority", "a"), f(":path", "/")}, End: true}
}

// get asks, and gives the stream back.
func get(t *testing.T, b *Backend, a *h2.Ask) {
	t.Helper()
	s, err := b.Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	_ = s.Flush()
	if got, err := s.Answer(); err != nil || got.Status != 200 {
		t.Fatalf("got %v, %v", got, err)
	}
}

func ok(w http.ResponseWriter, r *http.Request) {}

func wantOpen(t *testing.T, open *atomic.Int64, want int64) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); open.Load() != want; {
		if time.Now().After(end) {
			t.Fatalf("%d connections are open, want %d", open.Load(), want)
		}
		<-time.After(time.Millisecond)
	}
}

func TestRequestsShareAConnection(t *testing.T) {
	b, open := serve2(t, http.HandlerFunc(ok), 250)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { get(t, b, asking()) })
	}
	wg.Wait()
	wantOpen(t, open, 1)
	b.Sweep(time.Now().Add(IdleTime / 2))
	get(t, b, asking())
	wantOpen(t, open, 1)
	b.Sweep(time.Now().Add(2 * IdleTime))
	wantOpen(t, open, 0)
	get(t, b, asking())
}

func TestAnotherConnectionIsMadeWhenAllAreFull(t *testing.T) {
	release := make(chan struct{})
	b, open := serve2(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }), 2)
	var all []*h2.Stream
	for n := range 6 {
		s, err := b.Open(t.Context(), asking())
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Flush()
		all = append(all, s)
		wantOpen(t, open, int64(n/2+1)) // the server's limit is known with its first words
		<-time.After(20 * time.Millisecond)
	}
	close(release)
	for _, s := range all {
		if got, err := s.Answer(); err != nil || got.Status != 200 {
			t.Errorf("got %v, %v", got, err)
		}
		s.Release()
	}
}

func TestARetiredBackendFinishesItsStreams(t *testing.T) {
	release := make(chan struct{})
	b, open := serve2(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }), 250)
	s, err := b.Open(t.Context(), asking())
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Flush()
	wantOpen(t, open, 1)
	b.Retire(true)
	if b.TryOpen(asking()) != nil {
		t.Error("a stream was opened on a retired connection")
	}
	close(release)
	if got, err := s.Answer(); err != nil || got.Status != 200 {
		t.Errorf("got %v, %v", got, err)
	}
	s.Release()
	wantOpen(t, open, 0)
	get(t, b, asking()) // who was sent here before goes on
	b.Sweep(time.Now())
	wantOpen(t, open, 0)
	b.Close()
	if _, err := b.Open(t.Context(), asking()); !errors.Is(err, errClosed) {
		t.Errorf("a closed backend: %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	b := New(l.Addr().String(), 0, nil)
	if _, err := b.Open(t.Context(), asking()); !Unreachable(err) {
		t.Errorf("nobody listens: %v", err)
	}
	b.Close()
}

// Who speaks HTTP/1.1 alone is told apart, so that the document can be put right.
func TestABackendOfHTTP1IsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	srv := &http.Server{Handler: http.HandlerFunc(ok)}
	wg.Go(func() { _ = srv.Serve(l) })
	defer func() { srv.Close(); wg.Wait() }()
	b := New(l.Addr().String(), 0, nil)
	defer b.Close()
	s, err := b.Open(t.Context(), asking())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	_ = s.Flush()
	if _, err := s.Answer(); err == nil || !strings.Contains(err.Error(), "backendProtocol") {
		t.Errorf("got %v", err)
	}
}
