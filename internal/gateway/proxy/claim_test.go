package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/upstream"
	"github.com/droverhq/drover/internal/resource"
)

// The pool may take an instance away as soon as it is claimed, before a connection
// to it exists: that must not be missed.
func TestAnInstanceThatIsTakenAwayAtOnce(t *testing.T) {
	g := newRig(t)
	g.raw("a", func(b *raw, c net.Conn) bool { // never answers
		_, _ = io.Copy(io.Discard, c)
		return false
	})
	x := &exchange{
		front: g.front, config: g.config, route: g.config.Routes.Match(nil, []byte("/")),
		req: &h1.Request{Method: []byte("GET"), Path: []byte("/"), Host: []byte("a")}, again: again{idempotent: true, whole: true},
	}
	if err := x.claimMember(); err != nil {
		t.Fatal(err)
	}
	x.holding = true
	g.pool.Admit(g.members["a"], resource.AdmissionOut)
	done := make(chan outcome, 1)
	go func() { done <- x.attempt() }()
	select {
	case o := <-done:
		if o.err == nil || o.cut != pool.CutForced {
			t.Errorf("got %+v", o)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the request goes on")
	}
}

// A member that answers probes and refuses requests must not keep one for ever.
func TestARequestThatIsRefusedAgainAndAgainEnds(t *testing.T) {
	overBoth(t, testARequestThatIsRefusedAgainAndAgainEnds)
}

func testARequestThatIsRefusedAgainAndAgainEnds(t *testing.T, client protocol) {
	g := newRig(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	m := &pool.Member{Name: "a", Backend: upstream.New(l.Addr().String(), 0, nil)}
	m.Recover = func() { g.pool.Observe(m, true, true) }
	g.pool.Add(m, resource.AdmissionInService, true)
	resp, _, err := do(t, client(g), "POST", g.url("/"), []byte("x"))
	if err != nil || resp.StatusCode != http.StatusBadGateway {
		t.Errorf("got %v, %v", resp, err)
	}
	g.wantCounts(counts{requests: 1, failed: 1})
}

// The wait for an instance begins when there is something to send.
func TestASlowUploadHasTheWholeWait(t *testing.T) {
	g := newRig(t, func(c *Config) { c.QueueTimeout = time.Second })
	conn := g.dial()
	fmt.Fprint(conn, "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\na")
	<-time.After(1100 * time.Millisecond)
	fmt.Fprint(conn, "b")
	until(t, "it waits", func() bool { return g.queue.Waiting() == 1 })
	g.raw("a", answers(200, "ok"))
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		t.Errorf("got %q, %v", answer, err)
	}
}
