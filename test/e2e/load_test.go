package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/load"
)

// traffic is everything that the stories keep on a server: keep-alive connections
// with POSTs in between, WebSockets, and clients of other kinds.
type traffic struct {
	t        *testing.T
	s        *server
	g        *load.Generator
	slow     *load.Generator // connections that are idle most of the time
	slowOnes int             // how many
	visitors []*visitor
	served   map[string]time.Time // when each instance was last seen in service
	before   footprint            // of the gateway
	address  string
	outages  []outage
	replaced []span // when a gateway was replaced by another one
	ctx      context.Context
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// startTraffic loads the balancer until the test ends it.
func (s *server) startTraffic(address string) *traffic {
	return s.startTrafficWith(load.Options{Address: address, Connections: 32, Rate: 400, PostEvery: 4, BodyBytes: 2048}, 4)
}

func (s *server) startTrafficWith(o load.Options, sockets int) *traffic {
	tr := &traffic{t: s.t, s: s, address: o.Address, g: load.New(o), served: map[string]time.Time{}}
	tr.ctx, tr.stop = context.WithCancel(context.Background())
	s.t.Cleanup(func() { tr.end() })
	tr.done.Go(func() { tr.g.Run(tr.ctx) })
	for i := range sockets {
		tr.start(&visitor{name: fmt.Sprint("WebSocket ", i), converse: webSocket(o.Address)})
	}
	return tr
}

// startSlow adds connections that send one request every five seconds.
func (tr *traffic) startSlow(address string, connections int) {
	tr.slowOnes = connections
	tr.slow = load.New(load.Options{Address: address, Connections: connections, Rate: float64(connections) / 5, PostEvery: 4, BodyBytes: 2048})
	tr.done.Go(func() { tr.slow.Run(tr.ctx) })
}

func (tr *traffic) start(v *visitor) {
	tr.visitors = append(tr.visitors, v)
	tr.done.Go(func() { v.run(tr.ctx) })
}

func (tr *traffic) end() load.Stats {
	tr.stop()
	tr.done.Wait()
	return tr.g.Stats()
}

// generated are the figures of all connections that the load generator keeps.
func (tr *traffic) generated() []load.Stats {
	all := []load.Stats{tr.g.Stats()}
	if tr.slow != nil {
		all = append(all, tr.slow.Stats())
	}
	return all
}

// zeroFailed ends the load and checks that nothing was lost and nothing ran twice.
func (tr *traffic) zeroFailed() {
	tr.t.Helper()
	tr.end()
	for _, s := range tr.generated() {
		if s.Requests == 0 || s.Failed > 0 || s.Errors > 0 {
			tr.t.Errorf("%d of %d requests failed, %d errors:\n%s", s.Failed, s.Requests, s.Errors, listed(s.Failures))
		}
		tr.t.Logf("%d requests, %d failed, p99 %.1f ms, by version %v", s.Requests, s.Failed, s.Quantile(0.99), s.ByVersion)
	}
	for _, v := range tr.visitors {
		if len(v.losses) > 0 || v.answered == 0 {
			tr.t.Errorf("%s: %d were answered and %d lost:\n%s", v.name, v.answered, len(v.losses), listed(v.losses))
		}
	}
	tr.nothingTwice()
}

// reached waits until a version has answered: the load runs, and gets there.
func (tr *traffic) reached(version string) {
	tr.t.Helper()
	before := tr.g.Stats().ByVersion[version]
	tr.s.eventually(20*time.Second, "version "+version+" answers", func() (bool, error) {
		return tr.g.Stats().ByVersion[version] > before+uint64(10), nil
	})
}

// listed are the first failures.
func listed[T fmt.Stringer](failures []T) string {
	var b strings.Builder
	for _, f := range failures[:min(20, len(failures))] {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

// nothingTwice holds the workloads' own notes against the law: what was answered
// is in them, and what is not idempotent only once.
func (tr *traffic) nothingTwice() {
	tr.t.Helper()
	nonces := tr.s.nonces()
	if answered := tr.answered(); len(nonces) < answered {
		tr.t.Errorf("%d requests were answered, the workloads noted %d", answered, len(nonces))
	}
	for nonce, n := range nonces {
		if n > 1 && strings.HasPrefix(nonce, "POST ") {
			tr.t.Errorf("%s was handled %d times", nonce, n)
		}
	}
}

// answered is how many requests were.
func (tr *traffic) answered() (n int) {
	for _, s := range tr.generated() {
		n += int(s.Requests - s.Failed)
	}
	for _, v := range tr.visitors {
		if v.requests {
			n += v.answered
		}
	}
	return n
}
