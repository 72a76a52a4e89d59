package load

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestCountsWhatHappened(t *testing.T) {
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set(VersionHeader, "1.0.0")
		switch n.Add(1) % 10 {
		case 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 5:
			w.WriteHeader(http.StatusInternalServerError)
		case 7:
			panic(http.ErrAbortHandler)
		}
	}))
	defer srv.Close()
	g := New(Options{Address: strings.TrimPrefix(srv.URL, "http://"), Connections: 4, PostEvery: 3, BodyBytes: 100})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	g.Run(ctx)
	s := g.Stats()
	if s.Requests != uint64(n.Load()) {
		t.Errorf("counted %d requests, the server saw %d", s.Requests, n.Load())
	}
	answered := s.ByVersion["1.0.0"]
	if s.Failed == 0 || s.Errors == 0 || answered+s.Failed != s.Requests || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
}

func TestARefusedConnectionIsSeen(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	address := strings.TrimPrefix(srv.URL, "http://")
	srv.Close()
	g := New(Options{Address: address, Connections: 1, Rate: 50})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	g.Run(ctx)
	if s := g.Stats(); s.Failed == 0 || s.Refused != s.Failed {
		t.Errorf("%+v", s)
	}
}
