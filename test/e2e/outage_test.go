package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// outage is the time without a gateway: from its kill over its end until another one
// has answered.
type outage struct{ killed, gone, back time.Time }

func (tr *traffic) killGateway() {
	tr.t.Helper()
	tr.killGatewayProcess(tr.s.gatewayPID())
}

func (tr *traffic) killGatewayProcess(pid int) {
	tr.t.Helper()
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
