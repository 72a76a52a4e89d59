package pool

import (
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

func TestKeys(t *testing.T) {
	mine := KeyOf(secret, "front", "hello", "hello_1")
	for _, c := range []struct {
		name              string
		other             Key
		same, sameBackend bool
	}{
		{"from another gateway", KeyOf(append([]byte{}, secret...), "front", "hello", "hello_1"), true, true},
		{"another member", KeyOf(secret, "front", "hello", "hello_2"), false, true},
		{"another backend", KeyOf(secret, "front", "shop", "hello_1"), false, false},
		{"another balancer", KeyOf(secret, "back", "hello", "hello_1"), false, false},
		{"another secret", KeyOf([]byte("x"), "front", "hello", "hello_1"), false, false},
		{"the same letters, cut elsewhere", KeyOf(secret, "fronth", "ello", "hello_1"), false, false},
	} {
		if (c.other == mine) != c.same || c.other.SameBackend(mine) != c.sameBackend {
			t.Errorf("%s: %v and %v", c.name, mine, c.other)
		}
	}
	if KeyOf(nil, "front", "hello", "hello_1") != (Key{}) {
		t.Error("a key without a secret could be made by anybody")
	}
}

func TestKeysAsText(t *testing.T) {
	k := KeyOf(secret, "front", "hello", "hello_1")
	text := k.AppendText(nil)
	if back, ok := ParseKey(text); !ok || back != k {
		t.Errorf("%s became %v, %v", text, back, ok)
	}
	for _, bad := range []string{"", "x", string(text[1:]), string(text) + "A", string(text[:23]) + "=", string(text[:23]) + " ", "\xff" + string(text[1:])} {
		if k, ok := ParseKey([]byte(bad)); ok {
			t.Errorf("%q is taken for %v", bad, k)
		}
	}
}

func TestWhoIsClaimedByItsKey(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *Pool, m *Member)
		want   bool
	}{
		{"in service and healthy", func(*Pool, *Member) {}, true},
		{"draining", func(p *Pool, m *Member) { p.Admit(m, resource.AdmissionDraining) }, false},
		{"out", func(p *Pool, m *Member) { p.Admit(m, resource.AdmissionOut) }, false},
		{"unhealthy", func(p *Pool, m *Member) { p.Observe(m, false, false) }, false},
		{"refused a connection", func(p *Pool, m *Member) { p.Refuse(m) }, false},
		{"removed", func(p *Pool, m *Member) { p.Remove(m) }, false},
		{"back in service", func(p *Pool, m *Member) {
			p.Admit(m, resource.AdmissionDraining)
			p.Admit(m, resource.AdmissionInService)
		}, true},
		{"of a colour with a share", func(p *Pool, _ *Member) { p.SetWeights(map[resource.Colour]int{blue: 1, green: 99}) }, true},
		{"of a colour without one", func(p *Pool, _ *Member) { p.SetWeights(map[resource.Colour]int{blue: 0, green: 100}) }, false},
		{"weights are over", func(p *Pool, _ *Member) {
			p.SetWeights(map[resource.Colour]int{blue: 0, green: 100})
			p.SetWeights(nil)
		}, true},
		{"the pool is closed", func(p *Pool, _ *Member) { p.Close() }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, list := keyed(1, 1)
			c.change(p, list[0])
			var got Claim
			if ok := p.ClaimKnown(&got, &holder{}, []Key{{}, list[0].Key}, nil); ok != c.want {
				t.Fatalf("claimed: %v", ok)
			}
			if c.want && (got.Member != list[0] || p.State(list[0]).InFlight != 1) {
				t.Errorf("claimed %+v", got)
			}
		})
	}
	p, list := keyed(1, 1)
	if p.ClaimKnown(&Claim{}, &holder{}, []Key{list[0].Key}, list[:1]) {
		t.Error("a member that was tried is claimed again")
	}
}

// keyed is coloured, with keys.
func keyed(blues, greens int) (*Pool, []*Member) {
	p, list := coloured(blues, greens)
	for _, m := range list {
		p.Remove(m)
		m.Key = KeyOf(secret, "front", "hello", m.Name)
		p.Add(m, resource.AdmissionInService, true)
	}
	return p, list
}

// A process is followed by the next one of its instance before it is taken out.
func TestTheNextProcessHasTheSameKey(t *testing.T) {
	p, list := keyed(1, 0)
	next := &Member{Name: "0", Colour: blue, Key: list[0].Key}
	p.Add(next, resource.AdmissionInService, true)
	p.Remove(list[0])
	var c Claim
	if !p.ClaimKnown(&c, &holder{}, []Key{next.Key}, nil) || c.Member != next {
		t.Error("the key is forgotten with the process that had it before")
	}
}

// However many come back by their keys, the others are shared as the weights say.
func TestKnownClientsLeaveTheSharesOfOthersAlone(t *testing.T) {
	p, list := keyed(3, 3)
	p.SetWeights(map[resource.Colour]int{blue: 90, green: 10})
	greens := 0
	for i := range 1000 {
		for range i % 4 {
			var known Claim
			if !p.ClaimKnown(&known, &holder{}, []Key{list[i%3].Key}, nil) {
				t.Fatal("a known member was not claimed")
			}
			p.Release(&known, false)
		}
		var c Claim
		if err := p.Claim(t.Context(), &c, &holder{}, time.Now(), nil); err != nil {
			t.Fatal(err)
		}
		if c.Member.Colour == green {
			greens++
		}
		p.Release(&c, false)
	}
	if greens < 98 || greens > 102 {
		t.Errorf("%d of 1,000 new clients went to the colour with 10 %%", greens)
	}
}
