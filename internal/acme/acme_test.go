package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/droverhq/drover/internal/gateway/certificate"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
	"github.com/droverhq/drover/internal/testtool"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testtool.RemovePebble()
	if code == 0 {
		// What certmagic starts for each account and lock has no end that can be waited for.
		if err := goleak.Find(
			goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"),
			goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
		); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

const patience = 60 * time.Second

// world is a store, a folder of certificates, and what stands for the gateway.
type world struct {
	t        *testing.T
	store    *store.Store
	dir      string
	roots    *x509.CertPool
	listener net.Listener
	keeper   *certificate.Keeper
	stop     func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: s, dir: filepath.Join(t.TempDir(), "acme"), keeper: certificate.New(nil, slog.New(slog.DiscardHandler))}
	if w.listener, err = tls.Listen("tcp", "127.0.0.1:0", w.keeper.Config()); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := w.listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(patience))
				_ = c.(*tls.Conn).Handshake()
			})
		}
	})
	t.Cleanup(func() {
		if w.stop != nil {
			w.stop()
		}
		w.listener.Close()
		serving.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) port() int { return w.listener.Addr().(*net.TCPAddr).Port }

// pebble is an authority that finds this world behind every name that does not fail.
func (w *world) pebble(o testtool.PebbleOptions) *testtool.Pebble {
	w.t.Helper()
	o.TLSPort = w.port()
	if o.Valid == 0 {
		o.Valid = time.Hour
	}
	o.Resolve = func(name string) net.IP {
		if strings.HasPrefix(name, "fails.") {
			return net.IPv4(127, 0, 0, 2)
		}
		return net.IPv4(127, 0, 0, 1)
	}
	p := testtool.StartPebble(w.t, o)
	if w.roots == nil {
		w.roots = x509.NewCertPool()
	}
	w.roots.AppendCertsFromPEM(p.CA)
	return p
}

// balancer writes a load balancer that asks for names, and serves what there is for them.
func (w *world) balancer(name, directory string, names ...string) {
	w.t.Helper()
	spec := resource.DefaultLoadBalancerSpec()
	spec.Listen, spec.Backend = "127.0.0.1:0", &resource.Backend{Set: "hello"}
	spec.TLS = &resource.LoadBalancerTLS{ACME: &resource.ACME{Email: "ops@example.com", Directory: directory, Names: names}}
	_, err := w.store.Update(w.t.Context(), func(tx *store.Tx) error {
		_, err := store.PutAs(tx, resource.LoadBalancer{
			Meta: resource.Meta{Kind: resource.KindLoadBalancer, Name: name}, Spec: spec,
			Status: resource.LoadBalancerStatus{Address: w.listener.Addr().String()},
		})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	var pairs []certificate.Pair
	for _, name := range names {
		f := FilesOf(w.dir, directory, name)
		pairs = append(pairs, certificate.Pair{
			Source: name, CertFile: f.Cert, KeyFile: f.Key, Read: os.ReadFile, Name: name, Challenges: f.Challenges,
		})
	}
	w.keeper.Use(pairs)
}

// order runs Orders until stop.
func (w *world) order() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	o := New(Options{Store: w.store, Dir: w.dir, Roots: w.roots, FirstWait: 300 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(logTo{w.t}, nil))})
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
}

type logTo struct{ t *testing.T }

func (l logTo) Write(p []byte) (int, error) {
	l.t.Logf("%s", p)
	return len(p), nil
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			w.t.Fatalf("waited %s for: %s; the condition is %+v", patience, what, w.condition("front"))
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (w *world) condition(name string) resource.Condition {
	w.t.Helper()
	lb, err := store.GetAs[resource.LoadBalancerSpec, resource.LoadBalancerStatus](context.Background(), w.store, resource.KindLoadBalancer, name)
	if err != nil {
		w.t.Fatal(err)
	}
	if c := resource.FindCondition(lb.Status.Conditions, resource.ConditionOrdered); c != nil {
		return *c
	}
	return resource.Condition{}
}

// served is the certificate that a client of a name gets, which must be the authority's.
func (w *world) served(p *testtool.Pebble, name string) *x509.Certificate {
	w.t.Helper()
	w.keeper.Look()
	c, err := tls.Dial("tcp", w.listener.Addr().String(), &tls.Config{ServerName: name, RootCAs: p.Roots})
	if err != nil {
		return nil
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// Names that can be shown to be ours get certificates, whatever becomes of others;
// one that several load balancers have is ordered once, also over restarts.
func TestOrder(t *testing.T) {
	w := newWorld(t)
	p := w.pebble(testtool.PebbleOptions{})
	w.balancer("other", p.Directory, "a.example", "b.example")
	w.balancer("front", p.Directory, "a.example", "fails.example", "b.example")
	w.order()
	w.until("certificates", func() bool { return w.served(p, "a.example") != nil && w.served(p, "b.example") != nil })
	w.until("a failure", func() bool { return strings.Contains(w.condition("front").Message, "fails.example: HTTP 403") })
	if c := w.condition("front"); c.Status || c.Reason != "OrderFailed" || strings.Contains(c.Message, "b.example") {
		t.Errorf("the condition is %+v", c)
	}
	w.until("nothing but good news of the other", func() bool { return w.condition("other").Status })
	if w.served(p, "fails.example") != nil {
		t.Error("a name that is not ours is served")
	}
	first := w.served(p, "a.example")
	w.stop()
	before := w.condition("front").Message
	w.order()
	w.until("another failure", func() bool { return w.condition("front").Message != before })
	if strings.Contains(w.condition("front").Message, "(failed 1 times") {
		t.Error("failures are forgotten over a restart")
	}
	if n := p.Issued(); n != 2 || !w.served(p, "a.example").Equal(first) {
		t.Errorf("%d certificates were issued for 2 names", n)
	}
	w.wantPrivate()
}

// wantPrivate makes sure that nobody else can read what is kept.
func (w *world) wantPrivate() {
	w.t.Helper()
	keys := 0
	err := filepath.WalkDir(w.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			w.t.Errorf("%s has mode %04o", path, info.Mode().Perm())
		}
		if strings.HasSuffix(path, ".key") {
			keys++
		}
		return nil
	})
	if err != nil || keys < 3 { // of the account, and of two names
		w.t.Errorf("%d keys, %v", keys, err)
	}
}

// A certificate is renewed when two thirds of its time are over, also by a process
// that did not order it.
func TestRenewal(t *testing.T) {
	w := newWorld(t)
	p := w.pebble(testtool.PebbleOptions{Valid: 15 * time.Second})
	w.balancer("front", p.Directory, "a.example")
	w.order()
	w.until("a certificate", func() bool { return w.served(p, "a.example") != nil })
	first := w.served(p, "a.example")
	w.stop()
	w.order()
	w.until("the next one", func() bool { c := w.served(p, "a.example"); return c != nil && !c.Equal(first) })
	if now := time.Now(); now.After(first.NotAfter) || now.Before(due(first)) {
		t.Errorf("renewed at %s; due at %s, until %s", now, due(first), first.NotAfter)
	}
	w.until("good news", func() bool { return w.condition("front").Status })
}

// An authority that is down is asked again until it is there. What was issued by
// another one before is served meanwhile.
func TestAnAuthorityThatIsDown(t *testing.T) {
	w := newWorld(t)
	address := testtool.FreeAddress(t)
	w.roots = x509.NewCertPool()
	w.balancer("front", "https://"+address+"/dir", "a.example")
	w.order()
	w.until("a complaint", func() bool { return strings.Contains(w.condition("front").Message, "connection refused") })
	w.stop()
	p := w.pebble(testtool.PebbleOptions{Listen: address})
	w.order()
	w.until("a certificate", func() bool { return w.served(p, "a.example") != nil })
	w.until("good news", func() bool { return w.condition("front").Status })
}

// What a crash left half is set aside and ordered again.
func TestADamagedCertificateIsOrderedAgain(t *testing.T) {
	w := newWorld(t)
	p := w.pebble(testtool.PebbleOptions{})
	w.balancer("front", p.Directory, "a.example")
	w.order()
	w.until("a certificate", func() bool { return w.served(p, "a.example") != nil })
	first := w.served(p, "a.example")
	w.stop()
	f := FilesOf(w.dir, p.Directory, "a.example")
	if err := os.Truncate(f.Cert, 100); err != nil {
		t.Fatal(err)
	}
	w.keeper.Look()
	if !w.served(p, "a.example").Equal(first) {
		t.Error("the one from before is not served")
	}
	w.order()
	w.until("the next one", func() bool { return !w.served(p, "a.example").Equal(first) })
	aside, err := filepath.Glob(filepath.Dir(f.Cert) + ".damaged-*")
	if err != nil || len(aside) != 1 {
		t.Errorf("set aside are %v, %v", aside, err)
	}
}

// A condition goes with what asks for it.
func TestALoadBalancerThatOrdersNoMore(t *testing.T) {
	w := newWorld(t)
	w.roots = x509.NewCertPool()
	w.balancer("front", "https://"+testtool.FreeAddress(t)+"/dir", "a.example")
	w.order()
	w.until("a complaint", func() bool { return w.condition("front").Reason == "OrderFailed" })
	_, err := w.store.Update(t.Context(), func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindLoadBalancer, "front", func(b *resource.LoadBalancer) error {
			b.Spec.TLS = nil
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	w.until("no condition", func() bool { return w.condition("front").Type == "" })
}
