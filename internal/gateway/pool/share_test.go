package pool

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"pgregory.net/rapid"
)

const blue, green = resource.Blue, resource.Green

// coloured makes a pool with members of each colour.
func coloured(blues, greens int) (*Pool, []*Member) {
	p := New(&Queue{}, time.Second, nil)
	var list []*Member
	for i := range blues + greens {
		m := &Member{Name: fmt.Sprint(i), Colour: blue}
		if i >= blues {
			m.Colour = green
		}
		p.Add(m, resource.AdmissionInService, true)
		list = append(list, m)
	}
	return p, list
}

// Whatever the sizes of the colours and however long requests take, any 1,000 in a
// row are shared as the weights say to within two percentage points.
func TestSharesOfAnyThousandRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, _ := coloured(rapid.IntRange(1, 20).Draw(t, "blues"), rapid.IntRange(1, 20).Draw(t, "greens"))
		share := rapid.IntRange(1, 99).Draw(t, "green")
		p.SetWeights(map[resource.Colour]int{blue: 100 - share, green: share})
		keep := rapid.IntRange(1, 200).Draw(t, "in flight at once")
		var held []*Claim
		var taken []bool // by green
		inWindow := 0
		for i := range 3000 {
			c := &Claim{}
			if err := p.Claim(t.Context(), c, &holder{}, time.Now(), nil); err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
			if len(held) > keep { // the oldest ends, or, for one colour, does so late
				p.Release(held[0], false)
				held = held[1:]
			}
			taken = append(taken, c.Member.Colour == green)
			if taken[i] {
				inWindow++
			}
			if i >= 1000 && taken[i-1000] {
				inWindow--
			}
			if off := math.Abs(float64(inWindow)/10 - float64(share)); i >= 999 && off > 2 {
				t.Fatalf("%d of 1,000 requests went to a colour with %d %%", inWindow, share)
			}
		}
	})
}

func TestTheLeastBusyOfAColourIsPicked(t *testing.T) {
	p, m := coloured(2, 2)
	p.SetWeights(map[resource.Colour]int{blue: 50, green: 50})
	for range 8 {
		claim(t, p)
	}
	for _, x := range m {
		if x.inFlight != 2 {
			t.Errorf("%s of %s holds %d of 8 requests", x.Name, x.Colour, x.inFlight)
		}
	}
}

// No request waits or fails for a share: whoever can take it does.
func TestAColourThatHasNobodyLosesItsTurn(t *testing.T) {
	for _, test := range []struct {
		name    string
		weights map[resource.Colour]int
		away    func(p *Pool, m *Member)
	}{
		{"unhealthy", map[resource.Colour]int{blue: 10, green: 90}, func(p *Pool, m *Member) { p.Observe(m, false, false) }},
		{"refused", map[resource.Colour]int{blue: 10, green: 90}, func(p *Pool, m *Member) { p.Refuse(m) }},
		{"drains", map[resource.Colour]int{blue: 10, green: 90}, func(p *Pool, m *Member) { p.Admit(m, resource.AdmissionDraining) }},
		{"gone", map[resource.Colour]int{blue: 10, green: 90}, func(p *Pool, m *Member) { p.Remove(m) }},
		{"all to a colour that cannot", map[resource.Colour]int{green: 100}, func(p *Pool, m *Member) { p.Observe(m, false, false) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, m := coloured(1, 1)
			p.SetWeights(test.weights)
			test.away(p, m[1])
			for range 50 {
				c := claim(t, p)
				if c.Member != m[0] {
					t.Fatalf("%s was picked", c.Member.Colour)
				}
				p.Release(c, false)
			}
			back := &Member{Name: "back", Colour: green}
			p.Add(back, resource.AdmissionInService, true)
			n := 0
			for range 100 {
				c := claim(t, p)
				if c.Member == back {
					n++
				}
				p.Release(c, false)
			}
			want := 100 - test.weights[blue]
			if n < want-2 || n > want+2 {
				t.Errorf("once it is back it gets %d of 100, not %d", n, want)
			}
		})
	}
}

// A request that one member could not answer goes to any other, in service of
// whatever colour.
func TestARetryLeavesTheColour(t *testing.T) {
	p, m := coloured(1, 1)
	p.SetWeights(map[resource.Colour]int{blue: 100})
	if c := claim(t, p, m[0]); c.Member != m[1] {
		t.Errorf("picked %s again", c.Member.Colour)
	}
}

// Changing weights loses nobody, and nobody is asked twice for the same.
func TestWeightsChangeUnderTraffic(t *testing.T) {
	p, m := coloured(3, 3)
	var held []*Claim
	for _, w := range []map[resource.Colour]int{{blue: 90, green: 10}, {blue: 90, green: 10}, {blue: 50, green: 50}, {green: 100}, {blue: 100}, nil, {"": 7}} {
		p.SetWeights(w)
		for range 30 {
			held = append(held, claim(t, p))
		}
		total := 0
		for _, x := range m {
			total += x.inFlight
		}
		if total != len(held) || p.groups.size() != len(m) {
			t.Fatalf("%v: %d in flight, %d counted; %d of %d can be picked", w, len(held), total, p.groups.size(), len(m))
		}
	}
	for _, c := range held {
		p.Release(c, false)
	}
	if p.Busy() {
		t.Error("it is still busy")
	}
}

func TestAClaimByWeightAllocatesNothing(t *testing.T) {
	p, _ := coloured(10, 10)
	p.SetWeights(map[resource.Colour]int{blue: 90, green: 10})
	c, h, ctx, deadline := &Claim{}, &holder{}, t.Context(), time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		if err := p.Claim(ctx, c, h, deadline, nil); err != nil {
			t.Fatal(err)
		}
		p.Release(c, false)
	}); n != 0 {
		t.Errorf("%v allocations a claim", n)
	}
}

func BenchmarkClaim(b *testing.B) {
	for _, bench := range []struct {
		name    string
		weights map[resource.Colour]int
	}{{"one for all", nil}, {"by weight", map[resource.Colour]int{blue: 90, green: 10}}} {
		b.Run(bench.name, func(b *testing.B) {
			p, _ := coloured(10, 10)
			p.SetWeights(bench.weights)
			c, h, ctx, deadline := &Claim{}, &holder{}, b.Context(), time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Claim(ctx, c, h, deadline, nil); err != nil {
					b.Fatal(err)
				}
				p.Release(c, false)
			}
		})
	}
}
