package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

const adminToken = "drover_admin-secret"

// dataFolder makes one with an admin token in it, whose path fits into a socket's address.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "drover")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	writeFile(t, filepath.Join(dir, "admin.token"), adminToken+"\n")
	if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveSocket serves a data folder's socket.
func serveSocket(t *testing.T, data string, h http.Handler) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(data, "run", "api.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-served })
}

func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	if status >= 400 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func hello(revision int64) resource.Document {
	return resource.Document{
		Meta: resource.Meta{Kind: resource.KindScaleSet, Name: "hello", Revision: revision},
		Spec: json.RawMessage(`{"image":"hello:1.0.0","capacity":1}`),
	}
}

func TestAdminTokenGoesToItsSocketOnly(t *testing.T) {
	seen := make(chan string, 10)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		answer(w, http.StatusOK, hello(1))
	})
	data := dataFolder(t)
	serveSocket(t, data, handler)
	other := httptest.NewServer(handler)
	defer other.Close()

	if _, err := newClient(t, Options{Data: data}).Get(t.Context(), "ScaleSet", "hello"); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "Bearer "+adminToken {
		t.Errorf("the socket got %q", got)
	}
	for _, server := range []string{other.URL, "unix://" + filepath.Join(data, "run", "api.sock")} {
		_, err := newClient(t, Options{Server: server, Data: data}).Get(t.Context(), "ScaleSet", "hello")
		if !resource.IsCode(err, resource.CodeUnauthenticated) || !strings.Contains(err.Error(), "--token-file") {
			t.Errorf("%s: got %v, want a refusal for want of a token", server, err)
		}
	}
	if len(seen) != 0 {
		t.Errorf("a request without a token was sent, with %q", <-seen)
	}
	if _, err := newClient(t, Options{Server: other.URL, Data: data, Token: "told"}).Get(t.Context(), "ScaleSet", "hello"); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != "Bearer told" {
		t.Errorf("the server got %q", got)
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	var followed atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	_, err := newClient(t, Options{Server: server.URL, Token: "x"}).Get(t.Context(), "ScaleSet", "hello")
	if err == nil || !strings.Contains(err.Error(), "not followed") || followed.Load() {
		t.Errorf("got %v, followed %v", err, followed.Load())
	}
}

func TestWaitsForAServerThatIsStarting(t *testing.T) {
	data := dataFolder(t)
	token := filepath.Join(data, "admin.token")
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, Options{Data: data})
	got := make(chan error, 1)
	go func() {
		_, err := c.Get(t.Context(), "ScaleSet", "hello")
		got <- err
	}()
	// Whenever the server comes, before the first try or between two, it is found. It
	// writes its token to another name first.
	writeFile(t, token+".new", adminToken)
	if err := os.Rename(token+".new", token); err != nil {
		t.Fatal(err)
	}
	serveSocket(t, data, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, http.StatusOK, hello(1)) }))
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestNoServer(t *testing.T) {
	data := dataFolder(t)
	_, err := newClient(t, Options{Data: data, ConnectTimeout: 50 * time.Millisecond}).Get(t.Context(), "ScaleSet", "hello")
	socket := filepath.Join(data, "run", "api.sock")
	if !resource.IsCode(err, resource.CodeUnavailable) || !strings.Contains(err.Error(), socket) || !strings.Contains(err.Error(), "drover up --data "+data) {
		t.Errorf("the error does not say what was tried and what to do: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = newClient(t, Options{Server: l.Addr().String(), Token: "x", ConnectTimeout: 50 * time.Millisecond}).Get(t.Context(), "ScaleSet", "hello")
	if !resource.IsCode(err, resource.CodeUnavailable) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("the error does not say what was tried: %v", err)
	}
}

func TestDialerGivesUpInTime(t *testing.T) {
	data := dataFolder(t)
	synctest.Test(t, func(t *testing.T) {
		told := 0
		c := newClient(t, Options{Data: data, Waiting: func(string) { told++ }})
		begun := time.Now()
		_, err := c.token.dialer.dial(t.Context(), "", "")
		if took := time.Since(begun); !resource.IsCode(err, resource.CodeUnavailable) || took != connectTimeout || told != 1 {
			t.Errorf("after %s, told %d times: %v", took, told, err)
		}
	})
}

func TestConnectStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := newClient(t, Options{Data: dataFolder(t), ConnectTimeout: time.Hour}).Get(ctx, "ScaleSet", "hello")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestRefusals(t *testing.T) {
	problem := map[string]any{
		"status": 400, "code": "invalid", "detail": "the document is not valid",
		"errors": []any{map[string]any{"pointer": "/spec/capacity", "detail": "is negative"}},
	}
	tests := []struct {
		name   string
		handle http.HandlerFunc
		code   resource.Code
		text   string
	}{
		{"problem", func(w http.ResponseWriter, _ *http.Request) { answer(w, 400, problem) }, resource.CodeInvalid, "/spec/capacity: is negative"},
		{"no code", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 409, map[string]any{"title": "Conflict"})
		}, resource.CodeConflict, "Conflict"},
		{"not Drover's", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "<html>502\nfrom a proxy", http.StatusBadGateway)
		}, resource.CodeUnavailable, "is this a Drover server?"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}, resource.CodeInternal, "too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.handle)
			defer server.Close()
			_, err := newClient(t, Options{Server: server.URL, Token: "x"}).Get(t.Context(), "ScaleSet", "hello")
			if resource.CodeOf(err) != tt.code || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("got %s %v", resource.CodeOf(err), err)
			}
		})
	}
}

// hangUp ends the connection without an answer.
func hangUp(t *testing.T, w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	conn.Close()
}

func TestOnlyReadsAreSentAgain(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) < maxTries {
			hangUp(t, w)
			return
		}
		answer(w, http.StatusOK, hello(1))
	}))
	defer server.Close()
	c := newClient(t, Options{Server: server.URL, Token: "x"})
	if _, err := c.Get(t.Context(), "ScaleSet", "hello"); err != nil {
		t.Errorf("a read was given up after %d tries: %v", requests.Load(), err)
	}
	requests.Store(0)
	_, err := c.Scale(t.Context(), "hello", 3)
	if !resource.IsCode(err, resource.CodeUnavailable) || !strings.Contains(err.Error(), "not known") || requests.Load() != 1 {
		t.Errorf("a write was tried %d times: %v", requests.Load(), err)
	}
}

func TestListFollowsPages(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("continue") {
		case "":
			answer(w, 200, page{Items: []resource.Document{hello(1)}, Revision: 5, Continue: "a"})
		case "a":
			answer(w, 200, page{Items: []resource.Document{hello(2)}, Revision: 7, Continue: "b"})
		default:
			answer(w, 200, page{Items: []resource.Document{hello(3)}, Revision: 9})
		}
	}))
	defer server.Close()
	list, err := newClient(t, Options{Server: server.URL, Token: "x"}).List(t.Context(), "scalesets", Filter{})
	if err != nil || len(list.Items) != 3 || list.Revision != 5 {
		t.Errorf("got %+v, %v; want three items as of the first page's revision", list, err)
	}
}

func TestNamesAreEscaped(t *testing.T) {
	var path string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.EscapedPath()
		answer(w, 200, hello(1))
	}))
	defer server.Close()
	if _, err := newClient(t, Options{Server: server.URL, Token: "x"}).Get(t.Context(), "ImageVersion", "team/web:1.0.0"); err != nil {
		t.Fatal(err)
	}
	if path != "/api/v1/imageversions/team%2Fweb:1.0.0" {
		t.Errorf("got %s", path)
	}
}

func TestTokenFiles(t *testing.T) {
	dir := t.TempDir()
	good, bad, empty := filepath.Join(dir, "good"), filepath.Join(dir, "bad"), filepath.Join(dir, "empty")
	writeFile(t, good, " told \n")
	writeFile(t, bad, "two\nlines")
	writeFile(t, empty, "\n")
	read, write, err := os.Pipe() // what a shell makes of <(…)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	go func() {
		defer write.Close()
		io.WriteString(write, "to")
		io.WriteString(write, "ld\n")
	}()
	if c := newClient(t, Options{TokenFile: fmt.Sprintf("/dev/fd/%d", read.Fd())}); c.token.token != "told" {
		t.Errorf("through a pipe came %q", c.token.token)
	}
	if c := newClient(t, Options{TokenFile: good}); c.token.token != "told" {
		t.Errorf("got %q", c.token.token)
	}
	for _, file := range []string{bad, empty, filepath.Join(dir, "missing"), dir} {
		if _, err := New(Options{TokenFile: file}); err == nil || strings.Contains(err.Error(), "two") {
			t.Errorf("%s: got %v", file, err)
		}
	}
}
