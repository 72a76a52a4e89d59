package pool

import "github.com/droverhq/drover/internal/resource"

// group holds the members of one colour that may be picked.
type group struct {
	colour resource.Colour
	weight int // its share of the requests; 0: only when no other group has a member
	credit int // how far it is behind its share
	levels levels
}

// groups are one for each colour that has a weight, and one for all others at the
// end. A pool without weights has that one alone.
type groups struct {
	list   []*group
	weight int // of all
}

func newGroups(weights map[resource.Colour]int) groups {
	var g groups
	for _, colour := range []resource.Colour{resource.Blue, resource.Green} {
		if w := max(weights[colour], 0); w > 0 {
			g.list = append(g.list, &group{colour: colour, weight: w})
			g.weight += w
		}
	}
	g.list = append(g.list, &group{})
	return g
}

// of is the group that members of a colour belong to.
func (g *groups) of(c resource.Colour) *group {
	last := len(g.list) - 1
	for _, x := range g.list[:last] {
		if x.colour == c {
			return x
		}
	}
	return g.list[last]
}

func (g *groups) size() (n int) {
	for _, x := range g.list {
		n += x.levels.size
	}
	return n
}

// pick takes the group that is furthest behind its share, and the least busy member
// of it. Each request puts every group ahead by its weight and the chosen one back
// by all of them, so that after any number of requests none is off by more than one.
// A group without a member loses its turn: it is not caught up on later.
func (g *groups) pick(except []*Member) *Member {
	turn := g.list[0]
	for _, x := range g.list[1:] {
		if x.credit+x.weight > turn.credit+turn.weight {
			turn = x
		}
	}
	m := turn.levels.least(except)
	if m == nil {
		m = g.instead(turn, except)
	}
	if m == nil {
		return nil
	}
	for _, x := range g.list {
		x.credit += x.weight
	}
	turn.credit -= g.weight
	return m
}

// instead picks a member of another group: the one with the largest share that has any.
func (g *groups) instead(of *group, except []*Member) (m *Member) {
	weight := -1
	for _, x := range g.list {
		if x == of || x.weight <= weight {
			continue
		}
		if other := x.levels.least(except); other != nil {
			m, weight = other, x.weight
		}
	}
	return m
}

// SetWeights says how the requests are shared among the colours, in whatever unit:
// each gets its part as long as one of its members can be picked. Without weights
// all members are the same. A colour that is not named is picked last.
func (p *Pool) SetWeights(weights map[resource.Colour]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := newGroups(weights)
	if p.groups.same(fresh) {
		return
	}
	old := p.groups
	p.groups = fresh
	for _, x := range old.list {
		for _, m := range x.levels.all() {
			x.levels.remove(m)
			p.list(m)
		}
	}
}

func (g *groups) same(other groups) bool {
	if len(g.list) != len(other.list) {
		return false
	}
	for i, x := range g.list {
		if x.colour != other.list[i].colour || x.weight != other.list[i].weight {
			return false
		}
	}
	return true
}

// list puts m among those of its colour that can be picked.
func (p *Pool) list(m *Member) {
	m.group = p.groups.of(m.Colour)
	m.group.levels.add(m)
}
