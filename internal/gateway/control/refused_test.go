package control

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/wire"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// standIn answers Apply as a test wants it, in a gateway's place.
type standIn struct {
	refuses func(wire.Balancer) bool
	applied []wire.Snapshot
}

func (g *standIn) handle(_ string, body json.RawMessage, files []*os.File) (any, []*os.File, error) {
	for _, f := range files {
		f.Close()
	}
	var a wire.Apply
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, nil, err
	}
	g.applied = append(g.applied, a.Snapshot)
	done := wire.Applied{Generation: a.Snapshot.Generation, Errors: map[string]string{}}
	for _, b := range a.Snapshot.Balancers {
		if g.refuses(b) {
			done.Errors[b.Name] = "refused"
		}
	}
	return done, nil, nil
}

// last is what was sent last of a balancer: the set that it sends to.
func (g *standIn) last() string {
	w := g.applied[len(g.applied)-1]
	if len(w.Balancers) == 0 {
		return "none"
	}
	return w.Balancers[0].Spec.Backend.Set
}

// testPusher is one that is attached to g, with the document of a balancer over "new".
func testPusher(t *testing.T, g *standIn) *pusher {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	c := New(Options{Store: st, DataDir: dir})
	t.Cleanup(func() {
		c.close()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	doc := resource.LoadBalancer{Meta: resource.Meta{Kind: resource.KindLoadBalancer, Name: "front"}, Spec: over("new")}
	if _, err := st.Update(t.Context(), func(tx *store.Tx) error {
		_, err := store.PutAs(tx, doc)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if c.view.docs, err = read(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	c.view.seen = true
	p := newPusher(c)
	p.begin(&link{calls: attached(t, g)}, nil, false)
	return p
}

func over(set string) resource.LoadBalancerSpec {
	spec := resource.DefaultLoadBalancerSpec()
	spec.Listen = "127.0.0.1:0"
	spec.Backend = &resource.Backend{Set: set}
	return spec
}

func attached(t *testing.T, g *standIn) *wire.Conn {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := wire.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = wire.NewConn(other).Serve(g.handle)
		other.Close()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return conn
}

func (p *pusher) mustPush(t *testing.T) (trouble bool) {
	t.Helper()
	trouble, err := p.push(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return trouble
}

func TestWhatTheGatewayRefuses(t *testing.T) {
	everything := func(wire.Balancer) bool { return true }
	for _, c := range []struct {
		name    string
		refuses func(wire.Balancer) bool
		applies int
		last    string
	}{
		{"nothing", func(wire.Balancer) bool { return false }, 1, "new"},
		{"what is new", func(b wire.Balancer) bool { return b.Spec.Backend.Set == "new" }, 2, "old"},
		{"what is new, and what it had", everything, 3, "none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &standIn{refuses: c.refuses}
			p := testPusher(t, g)
			socket := socketName("balancer", "front", "127.0.0.1:0")
			p.good["front"] = wire.Balancer{Name: "front", Socket: socket, Spec: over("old")}
			if err := p.control.book.bind(t.Context(), socket, "127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			refused := c.last != "new"
			for range 3 { // a second after another
				if trouble := p.mustPush(t); trouble != refused {
					t.Errorf("to be tried again: %v", trouble)
				}
			}
			if len(g.applied) != c.applies || g.last() != c.last {
				t.Errorf("%d snapshots were sent, the last one sends to %s; want %d and %s", len(g.applied), g.last(), c.applies, c.last)
			}
			d, err := store.GetAs[resource.LoadBalancerSpec, resource.LoadBalancerStatus](t.Context(), p.control.o.Store, resource.KindLoadBalancer, "front")
			if err != nil {
				t.Fatal(err)
			}
			said := resource.FindCondition(d.Status.Conditions, resource.ConditionNotApplied) != nil
			if said != refused || (d.Status.Address != "") != (c.last != "none") {
				t.Errorf("the document says %+v", d.Status)
			}
		})
	}
}

// What is refused is tried again after a while, and does not count as applied unless it is.
func TestARefusalIsNotForEver(t *testing.T) {
	refuse := true
	g := &standIn{refuses: func(wire.Balancer) bool { return refuse }}
	p := testPusher(t, g)
	for _, refuse = range []bool{true, true, false} {
		if trouble := p.mustPush(t); trouble != refuse {
			t.Errorf("refused: %v, to be tried again: %v", refuse, trouble)
		}
		for content, r := range p.refused {
			r.at = r.at.Add(-retryRefused)
			p.refused[content] = r
		}
	}
	if g.last() != "new" {
		t.Errorf("the gateway was told to send to %s", g.last())
	}
}

// Documents that change all the time, and are refused each time, must not keep the
// pusher from looking up.
func TestAPushEnds(t *testing.T) {
	g := &standIn{}
	var p *pusher
	g.refuses = func(wire.Balancer) bool {
		v := p.control.view
		v.mu.Lock()
		defer v.mu.Unlock()
		b := v.docs.balancers["front"]
		b.Spec.DrainTimeout += resource.Duration(time.Second)
		v.docs.balancers["front"] = b
		return true
	}
	p = testPusher(t, g)
	if !p.mustPush(t) {
		t.Error("it is content")
	}
	if len(g.applied) != maxRounds {
		t.Errorf("%d snapshots were sent in one go", len(g.applied))
	}
}
