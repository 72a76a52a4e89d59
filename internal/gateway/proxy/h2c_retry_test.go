package proxy

import (
	"bytes"
	"testing"
	"time"

	xhttp2 "golang.org/x/net/http2"
)

// Each row is one way for a request to go wrong at the first instance, which is
// spoken to by HTTP/2; the second one answers, unless the row says otherwise.
func TestWhatIsSentAgainByHTTP2AndWhatIsNot(t *testing.T) {
	small, large := []byte("small body"), bytes.Repeat([]byte("x"), keepBody+1)
	refuses, breaks := resets2(xhttp2.ErrCodeRefusedStream), resets2(xhttp2.ErrCodeInternal)
	const broken = -1
	cases := []struct {
		name   string
		method string
		body   []byte
		first  act2
		second act2
		status int // broken: the answer is cut short
		reach  int64
		counts counts
	}{
		{name: "GET, the process dies", method: "GET", first: dies2, status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "PUT, the process dies", method: "PUT", body: small, first: dies2, status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "large PUT, the process dies", method: "PUT", body: large, first: dies2, status: 502, counts: counts{requests: 1, cut: 1}},
		{name: "POST, the process dies", method: "POST", body: small, first: dies2, status: 502, counts: counts{requests: 1, cut: 1}},
		{name: "POST without a body, the process dies", method: "POST", first: dies2, status: 502, counts: counts{requests: 1, cut: 1}},
		{name: "GET, the process hangs up", method: "GET", first: hangsUp2, status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "POST, the process hangs up", method: "POST", body: small, first: hangsUp2, status: 502, counts: counts{requests: 1, failed: 1}},
		{name: "GET, both hang up", method: "GET", first: hangsUp2, second: hangsUp2, status: 502, reach: 1, counts: counts{requests: 1, failed: 1}},
		{name: "GET, both die", method: "GET", first: dies2, second: dies2, status: 502, reach: 1, counts: counts{requests: 1, cut: 1}},
		{name: "GET, its stream is reset", method: "GET", first: breaks, status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "POST, its stream is reset", method: "POST", body: small, first: breaks, status: 502, counts: counts{requests: 1, failed: 1}},
		{name: "POST, its stream is refused", method: "POST", body: small, first: refuses, status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "large POST, its stream is refused", method: "POST", body: large, first: refuses, status: 502, counts: counts{requests: 1, failed: 1}},
		{name: "POST, it goes away without having taken it", method: "POST", body: small, first: goesAway2, status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "POST, it goes away after having taken it", method: "POST", body: small, first: func(c *conn2, id uint32) bool {
			_ = c.WriteGoAway(id, xhttp2.ErrCodeNo, nil)
			return answers2(201, "taken")(c, id)
		}, status: 201, counts: counts{requests: 1}},
		{name: "POST, it goes away having taken it, and hangs up", method: "POST", body: small, first: func(c *conn2, id uint32) bool {
			_ = c.WriteGoAway(id, xhttp2.ErrCodeNo, nil)
			return false
		}, status: 502, counts: counts{requests: 1, failed: 1}},
		{name: "POST, it is refused after an answer has begun", method: "POST", body: small, first: begins2(refuses), status: broken, counts: counts{requests: 1, failed: 1}},
		{name: "GET, it dies in mid-answer", method: "GET", first: begins2(dies2), status: broken, counts: counts{requests: 1, cut: 1}},
		{name: "GET, it hangs up in mid-answer", method: "GET", first: begins2(hangsUp2), status: broken, counts: counts{requests: 1, failed: 1}},
		{name: "GET, its stream is reset in mid-answer", method: "GET", first: begins2(breaks), status: broken, counts: counts{requests: 1, failed: 1}},
		{name: "GET, it is answered without a status", method: "GET", first: says2("x-status", "200"), status: 200, reach: 1, counts: counts{requests: 1, retried: 1}},
		{name: "POST, it is answered with a field of connections", method: "POST", first: says2(":status", "200", "connection", "close"), status: 502, counts: counts{requests: 1, failed: 1}},
		{name: "POST, the answer's length lies", method: "POST", first: says2(":status", "200", "content-length", "5"), status: 502, counts: counts{requests: 1, failed: 1}},
		{name: "POST, it switches protocols", method: "POST", first: says2(":status", "101"), status: 502, counts: counts{requests: 1, failed: 1}},
		{name: "GET, it answers 500", method: "GET", first: answers2(500, "oh"), status: 500, counts: counts{requests: 1, errors: 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			g := newRig(t, h2c)
			if c.second == nil {
				c.second = answers2(200, "second")
			}
			first := g.raw2("a", c.first)
			second := g.raw2("b", c.second)
			resp, _, err := do(t, g.client(), c.method, g.url("/"), c.body)
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
		})
	}
}

// Who refuses every request is not asked for ever.
func TestWhoTakesNothingIsTriedNoMoreAfterAWhile(t *testing.T) {
	for name, does := range map[string]act2{"refuses": resets2(xhttp2.ErrCodeRefusedStream), "goes away": goesAway2} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, h2c)
			b := g.raw2("a", does)
			resp, _, err := do(t, g.client(), "POST", g.url("/"), []byte("body"))
			if err != nil || resp.StatusCode != 502 {
				t.Fatalf("got %v, %v", resp, err)
			}
			if n := b.requests.Load(); n != maxTurnedAway+1 {
				t.Errorf("it was asked %d times", n)
			}
			g.wantCounts(counts{requests: 1, failed: 1})
		})
	}
}

// One instance alone that gives its connection up in order, as servers do with old
// ones, fails nothing.
func TestAConnectionThatIsGivenUpCostsNothing(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		g := newRig(t, h2c)
		g.raw2("a", once(goesAway2, answers2(200, "ok")))
		resp, _, err := do(t, g.client(), method, g.url("/"), []byte("body"))
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: got %v, %v", method, resp, err)
		}
		g.wantCounts(counts{requests: 1, retried: 1})
	}
}

// What cannot be sent again goes on an idle connection only when the other end has
// just shown that it lives; a connection that does not answer is not used again.
func TestWhatCannotBeRepeatedWaitsForASignOfLife(t *testing.T) {
	g := newRig(t, h2c)
	b := g.raw2("a", answers2(200, "ok"))
	c := g.client()
	send := func(method string) {
		t.Helper()
		if resp, _, err := do(t, c, method, g.url("/"), []byte("body")); err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
	}
	send("POST")
	<-time.After(freshFor + 50*time.Millisecond)
	send("POST")
	if n := b.accepted.Load(); n != 1 {
		t.Errorf("a connection that answers PING was not used: there are %d", n)
	}
	b.mu.Lock()
	b.deaf = true
	b.mu.Unlock()
	<-time.After(freshFor + 50*time.Millisecond)
	send("PUT")
	if n := b.accepted.Load(); n != 1 {
		t.Errorf("an idempotent request did not use the connection: there are %d", n)
	}
	<-time.After(freshFor + 50*time.Millisecond)
	send("POST")
	if n := b.accepted.Load(); n != 2 {
		t.Errorf("a POST went on a connection that was silent: there are %d", n)
	}
}
