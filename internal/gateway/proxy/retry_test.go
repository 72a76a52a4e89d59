package proxy

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/tally"
)

// Each row is one way for a request to go wrong at the first instance; the
// second one answers, unless the row says otherwise.
func TestWhatIsSentAgainAndWhatIsNot(t *testing.T) { overBoth(t, testWhatIsSentAgainAndWhatIsNot) }

func testWhatIsSentAgainAndWhatIsNot(t *testing.T, client protocol) {
	small, large := []byte("small body"), bytes.Repeat([]byte("x"), keepBody+1)
	part := "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"
	const broken = -1
	cases := []struct {
		name   string
		method string
		body   []byte
		first  act
		second act
		status int // broken: the answer is cut short
		reach  int64
		counts counts
	}{
		{name: "GET, the process dies", method: "GET", first: dies, status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "DELETE, the process dies", method: "DELETE", first: dies, status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "PUT, the process dies", method: "PUT", body: small, first: dies, status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "large PUT, the process dies", method: "PUT", body: large, first: dies, status: 502, counts: counts{requests: 1, cut: 1}},
		{name: "POST, the process dies", method: "POST", body: small, first: dies, status: 502, counts: counts{requests: 1, cut: 1}},
		{name: "POST without a body, the process dies", method: "POST", first: dies, status: 502, counts: counts{requests: 1, cut: 1}},
		{name: "PATCH, the process dies", method: "PATCH", body: small, first: dies, status: 502, counts: counts{requests: 1, cut: 1}},
		{name: "GET, the process hangs up", method: "GET", first: hangsUp, status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "POST, the process hangs up", method: "POST", body: small, first: hangsUp, status: 502, counts: counts{requests: 1, failed: 1}},
		{name: "GET, both hang up", method: "GET", first: hangsUp, second: hangsUp, status: 502, reach: 1, counts: counts{requests: 1, failed: 1}},
		{name: "GET, both die", method: "GET", first: dies, second: dies, status: 502, reach: 1, counts: counts{requests: 1, cut: 1}},
		{name: "GET, it dies in mid-answer", method: "GET", first: writes(part, dies), status: broken, counts: counts{requests: 1, cut: 1}},
		{name: "GET, it hangs up in mid-answer", method: "GET", first: writes(part, hangsUp), status: broken, counts: counts{requests: 1, failed: 1}},
		{name: "GET, it dies in mid-head", method: "GET", first: writes("HTTP/1.1 200 OK\r\nCont", dies), status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "GET, it answers rubbish", method: "GET", first: writes("rubbish\r\n\r\n", hangsUp), status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "POST, it answers with an impossible status", method: "POST", body: small, first: answers(42, "oh"), status: 502, counts: counts{requests: 1, failed: 1}},
		{name: "GET, it answers a status that is none", method: "GET", first: writes("HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n", hangsUp), status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "POST, it answers a status that is none", method: "POST", first: writes("HTTP/1.1 099 None\r\nContent-Length: 0\r\n\r\n", hangsUp), status: 502, counts: counts{requests: 1, failed: 1}},
		{name: "POST, it answers rubbish", method: "POST", body: small, first: writes("rubbish\r\n\r\n", hangsUp), status: 502, counts: counts{requests: 1, failed: 1}},
		{name: "GET, it answers 500", method: "GET", first: answers(500, "oh"), status: 500, counts: counts{requests: 1, errors: 1}},
		{name: "GET, it answers 503", method: "GET", first: answers(503, "oh"), status: 503, counts: counts{requests: 1, errors: 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t)
			if c.second == nil {
				c.second = answers(200, "second")
			}
			first := g.raw("a", c.first)
			second := g.raw("b", c.second)
			resp, _, err := do(t, client(g), c.method, g.url("/"), c.body)
			switch {
			case c.status == broken:
				if err == nil {
					t.Errorf("the client saw a whole answer")
				}
			case err != nil:
				t.Fatal(err)
			case resp.StatusCode != c.status:
				t.Errorf("got %d, want %d", resp.StatusCode, c.status)
			}
			if first.requests.Load() != 1 || second.requests.Load() != c.reach {
				t.Errorf("%d requests reached the first, %d the second; want 1 and %d", first.requests.Load(), second.requests.Load(), c.reach)
			}
			if c.reach == 1 && second.bodies[0] != string(c.body) {
				t.Errorf("the second was given another body")
			}
			g.wantCounts(c.counts)
			until(t, "the claims are released", func() bool { return !g.pool.Busy() })
			until(t, "the version has counted as much", func() bool { return countsOf(&g.versions) == c.counts })
		})
	}
}

func TestARefusedConnectionGoesElsewhereWhateverTheMethod(t *testing.T) {
	overBoth(t, testARefusedConnectionGoesElsewhereWhateverTheMethod)
}

func testARefusedConnectionGoesElsewhereWhateverTheMethod(t *testing.T, client protocol) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			g := newRig(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
			gone := g.add("a", l.Addr().String())
			b := g.raw("b", answers(200, "b"))
			for range 4 {
				resp, _, err := do(t, client(g), method, g.url("/"), []byte("body"))
				if err != nil || resp.StatusCode != 200 {
					t.Fatalf("got %v, %v", resp, err)
				}
			}
			if g.pool.State(gone).Up {
				t.Error("who refuses is still picked")
			}
			if b.bodies[0] != "body" {
				t.Errorf("the body arrived as %q", b.bodies[0])
			}
			g.wantCounts(counts{requests: 4, retried: 1})
		})
	}
}

func TestEachOtherInstanceIsTriedOnceAfterADeath(t *testing.T) {
	overBoth(t, testEachOtherInstanceIsTriedOnceAfterADeath)
}

func testEachOtherInstanceIsTriedOnceAfterADeath(t *testing.T, client protocol) {
	g := newRig(t)
	var all []*raw
	for _, name := range []string{"a", "b", "c", "d"} {
		all = append(all, g.raw(name, dies))
	}
	resp, _, err := do(t, client(g), "GET", g.url("/"), nil)
	if err != nil || resp.StatusCode != 502 {
		t.Fatalf("got %v, %v", resp, err)
	}
	for i, b := range all {
		if n := b.requests.Load(); n != 1 {
			t.Errorf("instance %d was sent the request %d times", i, n)
		}
	}
	g.wantCounts(counts{requests: 1, cut: 1})
}

// A connection that the backend closes while it is idle fails no request. One
// that may not be repeated is not even tried on it.
func TestPooledConnectionsThatTheBackendClosed(t *testing.T) {
	overBoth(t, testPooledConnectionsThatTheBackendClosed)
}

func testPooledConnectionsThatTheBackendClosed(t *testing.T, client protocol) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			g := newRig(t)
			closing := make(chan net.Conn, 10)
			b := g.raw("a", func(b *raw, c net.Conn) bool {
				closing <- c
				return answers(200, "a")(b, c)
			})
			c := client(g)
			for range 5 {
				resp, _, err := do(t, c, method, g.url("/"), []byte("body"))
				if err != nil || resp.StatusCode != 200 {
					t.Fatalf("got %v, %v", resp, err)
				}
				(<-closing).Close()
			}
			if n := b.requests.Load(); n != 5 {
				t.Errorf("%d requests reached the backend, want 5", n)
			}
			if got := countsOf(&g.counters); got.failed+got.cut > 0 {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

func TestWhatCannotBeRepeatedIsNotSentOnAnOldConnection(t *testing.T) {
	overBoth(t, testWhatCannotBeRepeatedIsNotSentOnAnOldConnection)
}

func testWhatCannotBeRepeatedIsNotSentOnAnOldConnection(t *testing.T, client protocol) {
	g := newRig(t)
	b := g.raw("a", answers(200, "a"))
	c := client(g)
	send := func(method string) {
		t.Helper()
		if resp, _, err := do(t, c, method, g.url("/"), []byte("body")); err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
	}
	send("POST")
	send("POST")
	if n := b.accepted.Load(); n != 1 {
		t.Errorf("two requests at once after another used %d connections", n)
	}
	<-time.After(freshFor + 50*time.Millisecond)
	send("PUT")
	if n := b.accepted.Load(); n != 1 {
		t.Errorf("an idempotent request did not reuse the connection: %d", n)
	}
	<-time.After(freshFor + 50*time.Millisecond)
	send("POST")
	if n := b.accepted.Load(); n != 2 {
		t.Errorf("a POST was sent on a connection that was idle for over a second")
	}
}

func TestJudge(t *testing.T) {
	some := errors.New("broken")
	get, post := again{idempotent: true, whole: true}, again{}
	cases := []struct {
		name string
		o    outcome
		a    again
		v    verdict
		end  tally.End
	}{
		{"answered", outcome{status: 200}, get, verdictDone, tally.Answered},
		{"not a byte sent", outcome{err: some}, again{whole: true}, verdictRetry, tally.Failed},
		{"not a byte sent when the drain ended", outcome{err: some, cut: pool.CutDrain}, again{whole: true}, verdictRetry, tally.CutOff},
		{"client gone", outcome{err: some, sent: true, clientGone: true}, get, verdictBroken, tally.Abandoned},
		{"out of time", outcome{err: some, sent: true, timedOut: true}, get, verdictLate, tally.Failed},
		{"cut by a drain, repeatable", outcome{err: some, sent: true, cut: pool.CutDrain}, get, verdictBad, tally.CutOff},
		{"taken away, repeatable", outcome{err: some, sent: true, cut: pool.CutForced}, get, verdictRetry, tally.CutOff},
		{"taken away, not repeatable", outcome{err: some, sent: true, cut: pool.CutForced}, post, verdictBad, tally.CutOff},
		{"lives, tried once more already", outcome{err: some, sent: true}, again{idempotent: true, whole: true, replays: 1}, verdictBad, tally.Failed},
		{"died, tried before", outcome{err: some, sent: true, died: true}, again{idempotent: true, whole: true, replays: 1}, verdictRetry, tally.CutOff},
		{"body gone", outcome{err: some, sent: true, died: true}, again{idempotent: true}, verdictBad, tally.CutOff},
		{"forwarded, died", outcome{err: some, sent: true, forwarded: true, died: true}, get, verdictBroken, tally.CutOff},
		{"forwarded, lives", outcome{err: some, sent: true, forwarded: true}, get, verdictBroken, tally.Failed},
		{"stream ended in order", outcome{err: some, sent: true, forwarded: true, stream: true, orderly: true, cut: pool.CutDrain}, get, verdictDone, tally.Ended},
		{"stream ended in mid-frame", outcome{err: some, sent: true, forwarded: true, stream: true, cut: pool.CutDrain}, get, verdictBroken, tally.CutOff},
		{"stream left by a living process", outcome{err: some, sent: true, forwarded: true, stream: true, left: true}, get, verdictDone, tally.Answered},
		{"stream left by a dying one", outcome{err: some, sent: true, forwarded: true, stream: true, left: true, died: true}, get, verdictBroken, tally.CutOff},
		{"body too large", outcome{err: some, sent: true, refused: errBodyTooLarge}, post, verdictRefused, tally.Answered},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if v, end := judge(c.o, c.a); v != c.v || end != c.end {
				t.Errorf("got %d, %d; want %d, %d", v, end, c.v, c.end)
			}
		})
	}
}
