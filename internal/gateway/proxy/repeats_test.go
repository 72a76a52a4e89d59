package proxy

import (
	"net/http"
	"testing"
	"time"
)

func TestRepeats(t *testing.T) {
	type step struct {
		at       time.Duration
		requests uint64 // until then
		tries    int
		want     int // of them may be sent again
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"at least ten", []step{{0, 0, 20, 10}}},
		{"a fifth of what there was", []step{{0, 0, 0, 0}, {time.Second, 1000, 300, 200}}},
		{"not twice", []step{{0, 0, 0, 0}, {time.Second, 1000, 200, 200}, {2 * time.Second, 1000, 5, 0}}},
		{"a little more with every request", []step{{0, 0, 0, 0}, {time.Second, 1000, 200, 200}, {2 * time.Second, 1050, 20, 10}}},
		{"ten seconds later", []step{{0, 0, 20, 10}, {9 * time.Second, 0, 1, 0}, {10 * time.Second, 0, 20, 10}}},
		{"what was long ago counts no more", []step{{0, 0, 0, 0}, {time.Second, 10_000, 1, 1}, {time.Minute, 10_000, 20, 10}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r repeats
			for _, s := range c.steps {
				got := 0
				for range s.tries {
					if r.take(s.at, s.requests) {
						got++
					}
				}
				if got != s.want {
					t.Errorf("at %v, after %d requests: %d of %d were sent again, want %d", s.at, s.requests, got, s.tries, s.want)
				}
				r.note(s.at, s.requests)
			}
		})
	}
}

// Instances that live and hang up get little more than was sent; what an
// instance's end explains has no such bound.
func TestABreakingBackendGetsLittleMore(t *testing.T) {
	g := newRig(t)
	a, b := g.raw("a", hangsUp), g.raw("b", hangsUp)
	c := g.client()
	const requests = 40
	for range requests {
		resp, _, err := do(t, c, "GET", g.url("/"), nil)
		if err != nil || resp.StatusCode != http.StatusBadGateway {
			t.Fatalf("got %v, %v", resp, err)
		}
	}
	if n := a.requests.Load() + b.requests.Load(); n != requests+extraLeast {
		t.Errorf("%d requests became %d", requests, n)
	}
	g.wantCounts(counts{requests: requests, failed: requests})

	g = newRig(t)
	const instances = 30
	for i := range instances {
		g.raw(string(rune('A'+i)), dies)
	}
	if resp, _, err := do(t, g.client(), "GET", g.url("/"), nil); err != nil || resp.StatusCode != http.StatusBadGateway {
		t.Fatalf("got %v, %v", resp, err)
	}
	g.wantCounts(counts{requests: 1, cut: 1})
}
