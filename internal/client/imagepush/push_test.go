package imagepush

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/droverhq/drover/internal/resource"
)

// keeper is an in-memory registry that wants a token and counts the layers that were sent.
type keeper struct {
	http.Handler
	sent atomic.Int64
	mu   sync.Mutex // guards refuse
	// refuse answers a request instead, if it returns true.
	refuse func(w http.ResponseWriter, r *http.Request) bool
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer secret" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"no token","detail":{"code":"unauthenticated"}}]}`)
		return
	}
	k.mu.Lock()
	refuse := k.refuse
	k.mu.Unlock()
	if refuse != nil && refuse(w, r) {
		return
	}
	if r.Method == http.MethodPatch {
		k.sent.Add(1)
	}
	k.Handler.ServeHTTP(w, r)
}

func newKeeper(t *testing.T) (*keeper, Server) {
	t.Helper()
	k := &keeper{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	s := httptest.NewServer(k)
	t.Cleanup(s.Close)
	return k, Server{URL: s.URL, Token: "secret"}
}

func TestPush(t *testing.T) {
	k, server := newKeeper(t)
	shared, dir := sample(t, false), t.TempDir()
	for i, text := range []string{"one", "two"} {
		must(t, os.WriteFile(filepath.Join(dir, "version"), []byte(text), 0o644))
		img := build(t, Options{Layers: []Folder{{Path: shared}, {Path: dir}}, Entrypoint: []string{"./server"}})
		var last, whole int64
		digest, err := Push(t.Context(), server, "team/hello:1."+string(rune('0'+i))+".0", img, func(done, total int64) { last, whole = done, total })
		if err != nil {
			t.Fatal(err)
		}
		if want, err := img.Digest(); err != nil || digest != want.String() {
			t.Errorf("%s %v", digest, err)
		}
		if last != whole || whole == 0 {
			t.Errorf("progress ended at %d of %d", last, whole)
		}
		// The second time the shared layer is there, and its configuration differs.
		if sent := k.sent.Swap(0); sent != int64(3-i) {
			t.Errorf("push %d sent %d blobs", i, sent)
		}
	}
}

func TestPushOverAUnixSocket(t *testing.T) {
	k, _ := newKeeper(t)
	dir, err := os.MkdirTemp("", "") // a socket's path is short
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	must(t, err)
	s := &http.Server{Handler: k}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		must(t, s.Close())
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	img := build(t, Options{Layers: []Folder{{Path: sample(t, false)}}})
	if _, err := Push(t.Context(), Server{URL: "http://drover", Transport: transport, Token: "secret"}, "hello:1.0.0", img, nil); err != nil {
		t.Fatal(err)
	}
}

func TestPushSaysWhy(t *testing.T) {
	img := build(t, Options{Layers: []Folder{{Path: sample(t, false)}}})
	say := func(method string, status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != method {
				return false
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	for name, c := range map[string]struct {
		ref, token string
		refuse     func(http.ResponseWriter, *http.Request) bool
		code       resource.Code
		text       string
	}{
		"no token":     {"hello:1.0.0", "wrong", nil, resource.CodeUnauthenticated, "expired"},
		"no version":   {"hello", "secret", nil, resource.CodeInvalid, "hello:Major.Minor.Patch"},
		"a bad name":   {"Hello:1.0.0", "secret", nil, resource.CodeInvalid, "Hello"},
		"a bad tag":    {"hello:a b", "secret", nil, resource.CodeInvalid, "a b"},
		"a host":       {"ghcr.io/x:1.0.0", "secret", nil, resource.CodeInvalid, "ghcr.io"},
		"immutable":    {"hello:1.0.0", "secret", say("PUT", 409, `{"errors":[{"code":"DENIED","message":"it exists","detail":{"code":"version_immutable"}}]}`), resource.CodeVersionImmutable, "it exists"},
		"no space":     {"hello:1.0.0", "secret", say("PATCH", 507, `{"errors":[{"code":"INSUFFICIENT_STORAGE","message":"full"}]}`), resource.CodeInsufficientStorage, "full"},
		"not allowed":  {"hello:1.0.0", "secret", say("POST", 403, ``), resource.CodeForbidden, "may not"},
		"not a server": {"hello:1.0.0", "secret", say("GET", 404, `<html>`), resource.CodeNotFound, "Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			k, server := newKeeper(t)
			k.mu.Lock()
			k.refuse = c.refuse
			k.mu.Unlock()
			server.Token = c.token
			_, err := Push(t.Context(), server, c.ref, img, func(int64, int64) {})
			if resource.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v (%s)", err, resource.CodeOf(err))
			}
			if strings.Contains(err.Error(), "secret") {
				t.Error("the error holds the token")
			}
		})
	}
}

func TestTokenGoesNowhereElse(t *testing.T) {
	var leaked atomic.Value
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked.Store(r.Header) }))
	t.Cleanup(elsewhere.Close)
	img := build(t, Options{Layers: []Folder{{Path: sample(t, false)}}})
	for name, refuse := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"upload": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				w.Header().Set("Location", elsewhere.URL+"/x")
				w.WriteHeader(http.StatusAccepted)
			}
			return r.Method == http.MethodPost
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return true
		},
	} {
		k, server := newKeeper(t)
		k.mu.Lock()
		k.refuse = refuse
		k.mu.Unlock()
		if _, err := Push(t.Context(), server, "hello:1.0.0", img, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if h := leaked.Load(); h != nil {
		t.Errorf("sent elsewhere: %v", h)
	}
}

func TestPushEndsWithItsContext(t *testing.T) {
	k, server := newKeeper(t)
	ctx, cancel := context.WithCancel(t.Context())
	k.mu.Lock()
	k.refuse = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		cancel()
		_, _ = io.Copy(io.Discard, r.Body) // ends when the client has gone
		return true
	}
	k.mu.Unlock()
	img := build(t, Options{Layers: []Folder{{Path: sample(t, false)}}})
	if _, err := Push(ctx, server, "hello:1.0.0", img, func(int64, int64) {}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
