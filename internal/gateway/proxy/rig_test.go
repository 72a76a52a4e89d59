package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/tally"
	"github.com/droverhq/drover/internal/gateway/upstream"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/testtool"
)

// net/http's server, of backends, sleeps half a second before it closes a
// connection with unread bytes, and nobody can wait for that.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("time.Sleep")) }

const patience = 20 * time.Second

// rig is a front before a pool, in this process.
type rig struct {
	t        *testing.T
	front    *Front
	pool     *pool.Pool
	queue    *pool.Queue
	config   *Config
	counters tally.Counters
	versions tally.Counters // of all members
	unserved tally.Counters
	address  string
	members  map[string]*pool.Member
	finish   func()
	trust    *tls.Config // of clients that speak TLS; nil: they do not
}

// overTLS is in the names of tests that are to speak TLS.
const overTLS = "OverTLS/"

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	g := &rig{t: t, queue: &pool.Queue{}, members: map[string]*pool.Member{}}
	spec := resource.DefaultLoadBalancerSpec()
	g.config = &Config{
		Name: "front", QueueTimeout: time.Duration(spec.QueueTimeout), DrainTimeout: time.Duration(spec.DrainTimeout), Limits: spec.Limits,
	}
	if strings.Contains(t.Name(), overTLS) {
		g.secure()
	}
	for _, c := range change {
		c(g.config)
	}
	g.queue.SetMax(g.config.Limits.MaxQueue)
	g.pool = pool.New(g.queue, g.config.DrainTimeout, nil)
	if g.config.Routes.byHost == nil {
		g.config.Routes = NewRoutes([]Route{{Pool: g.pool, Unserved: &g.unserved}})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address = l.Addr().String()
	g.front = Serve(Options{
		Listener: l.(*net.TCPListener), Counters: &g.counters, Logger: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	}, g.config)
	g.finish = sync.OnceFunc(func() {
		g.front.Close()
		g.front.Finish(0)
		for _, m := range g.members {
			g.pool.Remove(m)
			m.Backend.Retire(true)
		}
	})
	t.Cleanup(g.finish)
	return g
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// secure has the front and its clients speak TLS.
func (g *rig) secure() {
	g.t.Helper()
	c := testtool.NewCertificate(g.t, time.Hour, "127.0.0.1")
	g.config.TLS = &tls.Config{Certificates: []tls.Certificate{c.Pair(g.t)}, NextProtos: Protocols(), DynamicRecordSizingDisabled: true}
	g.trust = &tls.Config{RootCAs: c.Trust(), ServerName: "127.0.0.1", ClientSessionCache: tls.NewLRUClientSessionCache(0)}
}

func (g *rig) url(path string) string {
	if g.trust != nil {
		return "https://" + g.address + path
	}
	return "http://" + g.address + path
}

// add puts a member into service.
func (g *rig) add(name, address string) *pool.Member {
	m := &pool.Member{Name: name, Version: "1.0.0", Backend: upstream.New(address, 0, nil), Counters: &g.versions}
	g.members[name] = m
	g.pool.Add(m, resource.AdmissionInService, true)
	return m
}

// serve puts a handler into service.
func (g *rig) serve(name string, h http.Handler) *pool.Member {
	g.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(l) })
	g.t.Cleanup(func() {
		_ = srv.Close()
		wg.Wait()
	})
	return g.add(name, l.Addr().String())
}

// client neither retries nor follows redirects.
func (g *rig) client() *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, TLSClientConfig: g.trust.Clone()}
	g.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

func (g *rig) dial() net.Conn {
	g.t.Helper()
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		g.t.Fatal(err)
	}
	if g.trust != nil {
		s := tls.Client(c, g.trust)
		if err := s.Handshake(); err != nil {
			g.t.Fatal(err)
		}
		return s
	}
	return c
}

// breakOff resets a connection, without a goodbye.
func breakOff(c net.Conn) {
	if s, ok := c.(*tls.Conn); ok {
		c = s.NetConn()
	}
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// counts are those that most tests look at.
type counts struct{ requests, failed, retried, cut, errors, ended uint64 }

func countsOf(c *tally.Counters) counts {
	r := c.Read()
	return counts{r.Requests, r.Failed, r.Retried, r.Cut, r.Errors, r.Ended}
}

// wantCounts waits for the counts: a request is counted just after its answer was read.
func (g *rig) wantCounts(want counts) {
	g.t.Helper()
	var got counts
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		if got = countsOf(&g.counters); got == want {
			return
		}
		<-time.After(time.Millisecond)
	}
	g.t.Errorf("counted %+v, want %+v", got, want)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited %s for: %s", patience, what)
		}
		<-time.After(time.Millisecond)
	}
}

// raw is a backend that is told byte by byte what to do.
type raw struct {
	t        *testing.T
	listener net.Listener
	address  string
	accepted atomic.Int64
	requests atomic.Int64
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool
	bodies   []string
}

// act answers one request; false: the connection is closed.
type act func(b *raw, c net.Conn) (keep bool)

func (g *rig) raw(name string, do act) *raw {
	g.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	b := &raw{t: g.t, listener: l, address: l.Addr().String(), conns: map[net.Conn]bool{}}
	b.wg.Go(func() { b.accept(do) })
	g.t.Cleanup(func() {
		b.die()
		b.wg.Wait()
	})
	g.add(name, b.address)
	return b
}

func (b *raw) accept(do act) {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.accepted.Add(1)
		b.mu.Lock()
		b.conns[c] = true
		b.mu.Unlock()
		b.wg.Go(func() { b.talk(c, do) })
	}
}

func (b *raw) talk(c net.Conn, do act) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		q, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		b.mu.Lock()
		b.bodies = append(b.bodies, string(body))
		b.mu.Unlock()
		b.requests.Add(1)
		if !do(b, c) {
			return
		}
	}
}

// die is what the end of a process looks like from outside.
func (b *raw) die() {
	b.listener.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Close()
	}
}

func answers(status int, body string) act {
	return func(_ *raw, c net.Conn) bool {
		fmt.Fprintf(c, "HTTP/1.1 %03d X\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
		return true
	}
}

// hangsUp closes the connection without a word, and lives on.
func hangsUp(*raw, net.Conn) bool { return false }

// dies ends the process without a word.
func dies(b *raw, _ net.Conn) bool { b.die(); return false }

func writes(text string, then act) act {
	return func(b *raw, c net.Conn) bool {
		_, _ = io.WriteString(c, text)
		return then(b, c)
	}
}

func do(t *testing.T, c *http.Client, method, url string, body []byte, header ...string) (*http.Response, string, error) {
	t.Helper()
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	q, err := http.NewRequestWithContext(t.Context(), method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Add(header[i], header[i+1])
	}
	resp, err := c.Do(q)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp, string(got), err
}

func (c *conn) isParked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.parking == parked
}
