package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/internal/load"
)

// traffic is everything that the stories keep on a balancer: 32 keep-alive
// connections with POSTs in between, and WebSockets.
type traffic struct {
	t       *testing.T
	s       *server
	g       *load.Generator
	stop    context.CancelFunc
	done    sync.WaitGroup
	sockets []*socket
}

// startTraffic loads the balancer until the test ends it.
func (s *server) startTraffic(address string) *traffic {
	return s.startTrafficWith(load.Options{Address: address, Connections: 32, Rate: 400, PostEvery: 4, BodyBytes: 2048}, 4)
}

func (s *server) startTrafficWith(o load.Options, sockets int) *traffic {
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{t: s.t, s: s, g: load.New(o), stop: cancel}
	tr.done.Go(func() { tr.g.Run(ctx) })
	for i := range sockets {
		w := &socket{o: o, id: i}
		tr.sockets = append(tr.sockets, w)
		tr.done.Go(func() { w.run(ctx) })
	}
	s.t.Cleanup(func() { cancel(); tr.done.Wait() })
	return tr
}

func (tr *traffic) end() load.Stats {
	tr.stop()
	tr.done.Wait()
	return tr.g.Stats()
}

// zeroFailed ends the load and checks that nothing was lost and nothing ran twice.
func (tr *traffic) zeroFailed() {
	tr.t.Helper()
	s := tr.end()
	if s.Requests == 0 || s.Failed > 0 || s.Errors > 0 {
		tr.t.Errorf("%d of %d requests failed, %d errors:\n%s", s.Failed, s.Requests, s.Errors, listed(s.Failures))
	}
	for _, w := range tr.sockets {
		if n := w.lost.Load(); n > 0 {
			tr.t.Errorf("WebSocket %d: %d messages were not answered: %v", w.id, n, w.why.Load())
		}
		if w.echoed.Load() == 0 {
			tr.t.Errorf("WebSocket %d echoed nothing", w.id)
		}
	}
	tr.nothingTwice()
	tr.t.Logf("%d requests, %d failed, p99 %.1f ms, by version %v", s.Requests, s.Failed, s.Quantile(0.99), s.ByVersion)
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
func listed(failures []load.Failure) string {
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
	if s := tr.g.Stats(); uint64(len(nonces)) < s.Requests-s.Failed {
		tr.t.Errorf("%d requests were answered, the workloads noted %d", s.Requests-s.Failed, len(nonces))
	}
	for nonce, n := range nonces {
		if n > 1 && strings.HasPrefix(nonce, "POST ") {
			tr.t.Errorf("%s was handled %d times", nonce, n)
		}
	}
}

// socket echoes messages over a WebSocket, one at a time, and opens the next when
// the gateway ends it in order (a 1001 close after everything was answered).
type socket struct {
	o      load.Options // where it connects to, and how
	id     int
	echoed atomic.Int64
	lost   atomic.Int64
	why    atomic.Value
}

func (w *socket) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.converse(ctx); err != nil && ctx.Err() == nil {
			w.lost.Add(1)
			w.why.Store(err.Error())
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (w *socket) converse(ctx context.Context) error {
	c, _, err := w.dial(ctx)
	if err != nil {
		return fmt.Errorf("dial: %w", err)
	}
	defer c.CloseNow()
	for n := 0; ctx.Err() == nil; n++ {
		message := fmt.Sprintf("%d-%d", w.id, n)
		if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			return endedInOrder(c, err)
		}
		_, got, err := c.Read(ctx)
		if err != nil {
			return endedInOrder(c, err)
		}
		if string(got) != message {
			return fmt.Errorf("sent %q, got %q", message, got)
		}
		w.echoed.Add(1)
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

func (w *socket) dial(ctx context.Context) (*websocket.Conn, *http.Response, error) {
	if w.o.TLS == nil {
		return websocket.Dial(ctx, "ws://"+w.o.Address+"/ws", nil)
	}
	t := &http.Transport{TLSClientConfig: w.o.TLS}
	defer t.CloseIdleConnections()
	return websocket.Dial(ctx, "wss://"+w.o.Address+"/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: t}})
}

// endedInOrder forgives the gateway's close at the end of a drain: the message that
// crossed with it was never taken.
func endedInOrder(c *websocket.Conn, err error) error {
	if websocket.CloseStatus(err) == websocket.StatusGoingAway {
		return nil
	}
	return err
}
