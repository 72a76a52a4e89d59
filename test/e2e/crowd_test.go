package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/sample"
)

// crowd is how much of everything the stories below keep on a server.
type crowd struct {
	keepAlive, slow, http2, sockets, events, calls int
	transfers                                      int // each way
	bytes                                          int64
}

func everybody() crowd {
	return crowd{
		keepAlive: size(8, 32), slow: size(8, 32), http2: size(2, 8), sockets: size(2, 8), events: size(2, 4),
		calls: size(2, 4), transfers: 2, bytes: int64(size(12, 50)) << 20,
	}
}

// crowdDrain is short, so that streams are there at its end.
const crowdDrain = 3 * time.Second

// startEverything has hello served by three instances to everybody: by a balancer
// for most, one whose drain leaves time for transfers, and one that speaks HTTP/2
// to the instances, for calls.
func startEverything(t *testing.T, c crowd) *traffic {
	t.Helper()
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	canary := ", canary: [{percent: 10, hold: 500ms}, {percent: 50, hold: 500ms}]"
	s.apply(policy{capacity: 3, bake: "500ms", drain: crowdDrain.String(), blueGreen: canary}.yaml() + balancer("bulk", transferDrain, ""))
	front := s.serving(3)
	before := s.footprint()
	tr := s.startTrafficWith(load.Options{Address: front, Connections: c.keepAlive, Rate: 300, PostEvery: 4, BodyBytes: 2048}, c.sockets)
	tr.before = before
	calls := ""
	if c.calls > 0 {
		s.apply(balancer("calls", crowdDrain, ", backendProtocol: h2c"))
		calls = s.address("calls")
	}
	tr.startKinds(c, front, s.address("bulk"), calls)
	tr.reached("1.0.0")
	return tr
}

// startKinds starts what is there beside keep-alive connections and WebSockets.
func (tr *traffic) startKinds(c crowd, front, bulk, calls string) {
	tr.t.Helper()
	if c.slow > 0 {
		tr.startSlow(front, c.slow)
	}
	for i := range c.http2 {
		tr.startHTTP2(i, front)
	}
	for i := range c.events {
		by, pooled := c.exchanger(i, front)
		tr.start(&visitor{name: fmt.Sprint("events ", i), pooled: pooled, converse: events(front, by)})
	}
	for i := range c.transfers {
		by, pooled := c.exchanger(i, bulk)
		tr.start(&visitor{name: fmt.Sprint("upload ", i), requests: true, pooled: pooled, converse: uploads(bulk, by, c.bytes)})
		by, _ = c.exchanger(i, bulk)
		tr.start(&visitor{name: fmt.Sprint("download ", i), requests: true, pooled: pooled, converse: downloads(bulk, by, c.bytes)})
	}
	for i := range c.calls {
		tr.startCalls(i, calls)
	}
}

// exchanger is what the nth client of a kind asks by: one in two speaks HTTP/2, where
// that is spoken.
func (c crowd) exchanger(n int, address string) (by exchanger, pooled bool) {
	if n%2 == 1 && c.http2 > 0 {
		return newHTTP2(address), true
	}
	return &plain{address: address}, false
}

func balancer(name string, drain time.Duration, more string) string {
	return fmt.Sprintf("\n---\nkind: LoadBalancer\nname: %s\nspec: {listen: '127.0.0.1:0', backend: hello, drainTimeout: %s%s}\n", name, drain, more)
}

// nothingLost ends the load: nothing failed, and each stream was ended at least so
// many times, always with the whole of its drain.
func (tr *traffic) nothingLost(ends int) {
	tr.t.Helper()
	tr.s.eventually(20*time.Second, "each stream has seen its ends", func() (bool, error) {
		return tr.each(func(v *visitor) bool { return v.requests || len(v.ends) >= ends }), nil
	})
	tr.zeroFailed()
	if failed, cut := tr.s.counted("failed"), tr.s.counted("cut"); sum(failed)+sum(cut) > 0 {
		tr.t.Errorf("the gateway counts as failed %v, as cut %v", failed, cut)
	}
	for _, v := range tr.visitors {
		for _, e := range v.ends {
			if had := tr.hadToItsEnd(e); had < crowdDrain {
				tr.t.Errorf("%s was ended by %s at most %s after its drain had begun, which is not %s", v.name, e.instance, had, crowdDrain)
			}
		}
		if !v.requests && len(v.ends) < ends {
			tr.t.Errorf("%s was ended %d times, not %d", v.name, len(v.ends), ends)
		}
		tr.t.Logf("%s: %d answered, %d times ended in order", v.name, v.answered, len(v.ends))
	}
}

// hadToItsEnd is how long a stream can have had since its end was decided: the
// instance's last moment in service, or the replacement of the gateway that had it.
func (tr *traffic) hadToItsEnd(e ending) time.Duration {
	had := e.at.Sub(tr.served[e.instance])
	for _, r := range tr.replaced {
		if e.opened.Before(r.to) {
			had = max(had, e.at.Sub(r.from))
		}
	}
	return had
}
