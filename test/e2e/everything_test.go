package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
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
		keepAlive: size(8, 32), slow: size(8, 32), sockets: size(2, 8), events: size(2, 4),
		transfers: size(1, 2), bytes: int64(size(12, 50)) << 20,
	}
}

// crowdDrain is short, so that streams are there at its end.
const crowdDrain = 3 * time.Second

// startEverything has hello served by three instances to everybody: by a balancer
// for most, one whose drain leaves time for transfers, and one that speaks HTTP/2
// to the instances, for calls.
func startEverything(t *testing.T, c crowd) *traffic {
	t.Helper()
	s := startServer(t)
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
	tr.startSlow(front, c.slow)
	for i := range c.events {
		tr.start(&visitor{name: fmt.Sprint("events ", i), converse: events(front)})
	}
	for i := range c.http2 {
		tr.startHTTP2(i, front)
	}
	for i := range c.transfers {
		tr.start(&visitor{name: fmt.Sprint("upload ", i), requests: true, converse: uploads(bulk, c.bytes)})
		tr.start(&visitor{name: fmt.Sprint("download ", i), requests: true, converse: downloads(bulk, c.bytes)})
	}
	for i := range c.calls {
		tr.startCalls(i, calls)
	}
}

func balancer(name string, drain time.Duration, more string) string {
	return fmt.Sprintf("\n---\nkind: LoadBalancer\nname: %s\nspec: {listen: '127.0.0.1:0', backend: hello, drainTimeout: %s%s}\n", name, drain, more)
}

// nothingLost ends the load: nothing failed, and each stream was ended at least so
// many times, always with the whole of its drain.
func (tr *traffic) nothingLost(ends int) {
	tr.t.Helper()
	tr.zeroFailed()
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

// hadToItsEnd is how long a stream can have had since its end was decided.
func (tr *traffic) hadToItsEnd(e ending) time.Duration {
	return e.at.Sub(tr.served[e.instance])
}

// footprint is what a gateway holds.
type footprint struct{ files, kilobytes int }

func (s *server) footprint() (f footprint) {
	s.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", s.gatewayPID())
	files, err := os.ReadDir(proc + "fd")
	check(s.t, err)
	f.files = len(files)
	status, err := os.ReadFile(proc + "status")
	check(s.t, err)
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	_, err = fmt.Sscan(rest, &f.kilobytes)
	check(s.t, err)
	return f
}

// backTo waits, once the load has ended, until the gateway holds about what it held
// before: no connection of a client, few to instances, and memory for another crowd.
func (s *server) backTo(before footprint) {
	s.t.Helper()
	const moreFiles, moreKilobytes = 24, 64 << 10
	var now footprint
	s.eventually(2*time.Minute, fmt.Sprintf("the gateway holds about %+v, as before", before), func() (bool, error) {
		now = s.footprint()
		return now.files <= before.files+moreFiles && now.kilobytes <= before.kilobytes+moreKilobytes, nil
	})
	s.t.Logf("the gateway held %+v, and holds %+v", before, now)
}

func TestEverythingThroughFlips(t *testing.T) {
	tr := startEverything(t, everybody())
	flips := size(5, 20)
	for i := range flips {
		tr.flip(i+1, 3)
	}
	tr.nothingLost(flips)
	for _, s := range tr.generated() {
		if s.Told > 0 {
			t.Errorf("%d connections were to be closed, though only instances were drained", s.Told)
		}
	}
	tr.s.backTo(tr.before)
}

// kill -9 of the gateway under everything: what was in flight is lost, and nothing
// else; a connection that is opened then waits until the next one serves.
func TestEverythingAndTheGatewayKilled(t *testing.T) {
	random := seeded(t)
	tr := startEverything(t, everybody())
	for range size(5, 20) {
		time.Sleep(time.Duration(300+random.IntN(1000)) * time.Millisecond)
		tr.killGateway()
	}
	tr.reached("1.0.0")
	tr.lostOnlyInFlight()
	tr.s.backTo(tr.before)
}

// outage is the time without a gateway: from its kill over its end until another one
// has answered.
type outage struct{ killed, gone, back time.Time }

func (tr *traffic) killGateway() {
	tr.t.Helper()
	pid := tr.s.gatewayPID()
	o := outage{killed: time.Now()}
	check(tr.t, syscall.Kill(pid, syscall.SIGKILL))
	tr.s.eventually(10*time.Second, "the gateway has ended", func() (bool, error) { return ended(pid), nil })
	o.gone = time.Now()
	check(tr.t, get(tr.address, "/"))
	o.back = time.Now()
	tr.outages = append(tr.outages, o)
}

// ended says whether a process has let go of all that it held. Its first thread may
// be a zombie while others still are on their way out.
func ended(pid int) bool {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil || len(threads) > 1 {
		return err != nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(state, "Z")
}

// lostOnlyInFlight ends the load: no connection was refused, and what was lost was
// being answered, or was a stream, when the gateway was killed.
func (tr *traffic) lostOnlyInFlight() {
	tr.t.Helper()
	tr.end()
	lost := map[string]int{}
	for _, s := range tr.generated() {
		for _, f := range s.Failures {
			lost["requests"]++
			if f.Idle {
				lost["requests"]--
				lost["idle connections"]++
			}
			tr.inFlight(span{f.Sent, f.Ended}, false, f)
		}
		if s.Refused > 0 || s.Errors > 0 {
			tr.t.Errorf("%d connections were refused, %d errors answered:\n%s", s.Refused, s.Errors, listed(s.Failures))
		}
	}
	for _, v := range tr.visitors {
		for _, l := range v.losses {
			lost[strings.TrimRight(v.name, " ,0123456789")]++
			tr.inFlight(l.span, v.pooled, l)
			if strings.Contains(l.err.Error(), "refused") {
				tr.t.Errorf("a connection was refused: %s", l)
			}
		}
	}
	tr.nothingTwice()
	for _, o := range tr.outages {
		tr.t.Logf("back after %s", o.back.Sub(o.killed).Round(time.Millisecond))
	}
	tr.t.Logf("%d requests were answered, lost were %v", tr.answered(), lost)
}

// inFlight checks that something was on its way when the gateway was killed. A
// library may not have seen by then that its connection is dead.
func (tr *traffic) inFlight(during span, pooled bool, what fmt.Stringer) {
	tr.t.Helper()
	if !slices.ContainsFunc(tr.outages, func(o outage) bool {
		over := o.gone
		if pooled {
			over = o.back
		}
		return during.from.Before(over) && during.to.After(o.killed)
	}) {
		tr.t.Errorf("was lost without being in flight at a kill: %s", what)
	}
}
