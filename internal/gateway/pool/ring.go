package pool

// ring is a circular list of members with the same number of requests, the one
// that waited longest first.
type ring struct{ head *Member }

func (r *ring) push(m *Member) {
	if r.head == nil {
		m.next, m.prev = m, m
		r.head = m
		return
	}
	last := r.head.prev
	last.next, m.prev = m, last
	m.next, r.head.prev = r.head, m
}

func (r *ring) remove(m *Member) {
	if m.next == m {
		r.head = nil
	} else {
		m.prev.next, m.next.prev = m.next, m.prev
		if r.head == m {
			r.head = m.next
		}
	}
	m.next, m.prev = nil, nil
}

// levels holds the members that may be picked, by how many requests each holds.
// Counts change by one, so finding the least busy one costs the same for ten
// members as for ten thousand.
type levels struct {
	rings  []ring
	lowest int // no ring below it has a member
	size   int
}

func (l *levels) add(m *Member) {
	for len(l.rings) <= m.inFlight {
		l.rings = append(l.rings, ring{})
	}
	l.rings[m.inFlight].push(m)
	l.lowest = min(l.lowest, m.inFlight)
	l.size++
	m.listed = true
}

func (l *levels) remove(m *Member) {
	l.rings[m.inFlight].remove(m)
	l.size--
	m.listed = false
}

// least returns the least busy member that is not in except, or nil.
func (l *levels) least(except []*Member) *Member {
	if l.size == 0 {
		return nil
	}
	for l.rings[l.lowest].head == nil {
		l.lowest++
	}
	for i := l.lowest; i < len(l.rings); i++ {
		first := l.rings[i].head
		for m := first; m != nil; {
			if !contains(except, m) {
				return m
			}
			if m = m.next; m == first {
				break
			}
		}
	}
	return nil
}

// all are the members, the least busy first.
func (l *levels) all() (list []*Member) {
	for i := range l.rings {
		for m := l.rings[i].head; m != nil; {
			list = append(list, m)
			if m = m.next; m == l.rings[i].head {
				break
			}
		}
	}
	return list
}

func contains(list []*Member, m *Member) bool {
	for _, x := range list {
		if x == m {
			return true
		}
	}
	return false
}
