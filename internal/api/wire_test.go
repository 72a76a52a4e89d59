package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// pipes is a listener without a network, so that time limits can be tested in fake time.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	server, client := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inFakeTime runs f against a server whose clock is the bubble's.
func inFakeTime(t *testing.T, f func(t *testing.T, e *env, p *pipes, c *http.Client)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		e := openEnv(t, dir, func(o *Options) { o.Heartbeat = 0 })
		p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		hs := NewHTTPServer(e.api, nil)
		var served sync.WaitGroup
		served.Go(func() { _ = hs.Serve(p) })
		transport := &http.Transport{DialContext: p.dial}
		f(t, e, p, &http.Client{Transport: transport})
		transport.CloseIdleConnections()
		if err := hs.Close(); err != nil {
			t.Error(err)
		}
		served.Wait()
		e.api.Close()
		if err := e.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

func request(t *testing.T, path string, body io.Reader) *http.Request {
	t.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPut
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://drover"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+ownerToken)
	return r
}

// TestLimitsOfOneRequestDoNotHitTheNext on the same connection.
func TestLimitsOfOneRequestDoNotHitTheNext(t *testing.T) {
	inFakeTime(t, func(t *testing.T, _ *env, _ *pipes, c *http.Client) {
		for i := range 4 {
			reused := false
			r := request(t, "/api/v1/images", nil)
			r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(g httptrace.GotConnInfo) { reused = g.Reused }}))
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(resp.Body); err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if reused != (i > 0) {
				t.Fatalf("request %d: reused %v", i, reused)
			}
			time.Sleep(requestTimeout + writeTimeout + time.Second)
		}
	})
}

func TestSlowBodyIsGivenUp(t *testing.T) {
	inFakeTime(t, func(t *testing.T, _ *env, _ *pipes, c *http.Client) {
		body, w := io.Pipe()
		defer w.Close()
		go func() { _, _ = io.WriteString(w, `{"kind":`) }()
		began := time.Now()
		resp, err := c.Do(request(t, "/api/v1/images/web", body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if took := time.Since(began); resp.StatusCode != 400 || took != requestTimeout {
			t.Errorf("%s after %s", resp.Status, took)
		}
	})
}

func TestSlowHeaderIsGivenUp(t *testing.T) {
	inFakeTime(t, func(t *testing.T, e *env, p *pipes, _ *http.Client) {
		conn, err := p.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		began := time.Now()
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: "); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(conn); err != nil || time.Since(began) > 11*time.Second {
			t.Errorf("closed after %s: %v", time.Since(began), err)
		}
	})
}

// waits is an Authenticator that never comes to an end.
type waits struct{ Authenticator }

func (waits) Authenticate(ctx context.Context, _ string) (Principal, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestEveryRequestEnds(t *testing.T) {
	inFakeTime(t, func(t *testing.T, e *env, _ *pipes, c *http.Client) {
		e.api.gate.auth = waits{}
		began := time.Now()
		resp, err := c.Do(request(t, "/api/v1/images", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 503 || time.Since(began) != requestTimeout {
			t.Errorf("%s after %s", resp.Status, time.Since(began))
		}
	})
}

// TestWatchLivesForHours: no limit of ordinary requests ends it, and it is never silent.
func TestWatchLivesForHours(t *testing.T) {
	inFakeTime(t, func(t *testing.T, e *env, _ *pipes, c *http.Client) {
		resp, err := c.Do(request(t, "/api/v1/images?watch=true", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		w := &watcher{t: t, lines: bufio.NewReader(resp.Body)}
		last := time.Now()
		for began := last; time.Since(began) < 3*time.Hour; last = time.Now() {
			if ev, err := w.read(); err != nil || !ev.comment || time.Since(last) != 15*time.Second {
				t.Fatalf("after %s: %+v %v", time.Since(began), ev, err)
			}
		}
		e.put(doc(resource.KindImage, "one", `{}`, ``))
		if ev := w.next(); ev.name != "put" {
			t.Errorf("event %+v", ev)
		}
	})
}

// TestStuckWatcherIsCutOff: one that does not read gives its place back.
func TestStuckWatcherIsCutOff(t *testing.T) {
	inFakeTime(t, func(t *testing.T, e *env, p *pipes, _ *http.Client) {
		conn, err := p.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		began := time.Now()
		fmt.Fprintf(conn, "GET /api/v1/images?watch=true HTTP/1.1\r\nHost: drover\r\nAuthorization: Bearer %s\r\n\r\n", ownerToken)
		if line, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("%q %v", line, err)
		}
		if e.streams() != 1 {
			t.Error("the watch has no place")
		}
		time.Sleep(eventTimeout + time.Second)
		synctest.Wait()
		if e.streams() != 0 {
			t.Errorf("the watch is still there after %s", time.Since(began))
		}
	})
}

// streams is how many are open.
func (e *env) streams() int {
	e.api.slots.mu.Lock()
	defer e.api.slots.mu.Unlock()
	return e.api.slots.all
}

// TestHTTP2: the same over TLS, as clients beyond loopback use it.
func TestHTTP2(t *testing.T) {
	e := newEnv(t)
	e.put(instance("hello", 1))
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = NewHTTPServer(e.api, nil) // httptest brings the certificate
	ts.EnableHTTP2 = true
	ts.StartTLS()
	defer ts.Close()
	defer e.api.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ts.URL+"/api/v1/images?watch=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+ownerToken)
	resp, err := ts.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Fatalf("protocol %s", resp.Proto)
	}
	w := &watcher{t: t, lines: bufio.NewReader(resp.Body)}
	e.put(doc(resource.KindImage, "one", `{}`, ``))
	if ev := w.next(); ev.name != "put" {
		t.Errorf("event %+v", ev)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &pipes{conns: make(chan net.Conn, 2), done: make(chan struct{})}
		l := &limited{Listener: inner, open: make(chan struct{}, 1), closed: make(chan struct{})}
		accepted := make(chan error, 1)
		accept := func() {
			c, err := l.Accept()
			if err == nil {
				err = c.Close()
			}
			accepted <- err
		}
		for range 2 {
			c, err := inner.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		first, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go accept()
		synctest.Wait()
		if len(accepted) != 0 {
			t.Fatal("a second connection was accepted")
		}
		first.Close()
		first.Close() // gives its place back once
		if err := <-accepted; err != nil || len(l.open) != 0 {
			t.Errorf("the place was not given back: %v, %d are taken", err, len(l.open))
		}
		l.open <- struct{}{}
		go accept()
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept after the end: %v", err)
		}
	})
}
