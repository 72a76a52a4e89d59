package store

import (
	"slices"
	"sort"

	"github.com/droverhq/drover/internal/resource"
)

// Change is one write as watches see it.
type Change struct {
	Revision int64
	Deleted  bool
	// Document is the document as written; of a deletion the last contents, at the deletion's revision.
	Document resource.Document
}

// change is what is kept of one.
type change struct {
	*entry
	deleted bool
	// formerOwner had the document before this change gave it to another.
	formerOwner string
}

func newChange(e, old *entry) change {
	c := change{entry: e}
	if old != nil && old.owner != e.owner {
		c.formerOwner = old.owner
	}
	return c
}

func newDeletion(old *entry, revision int64) change {
	gone := *old
	gone.doc.Revision = revision
	return change{entry: &gone, deleted: true}
}

func (c change) revision() int64 { return c.doc.Revision }

func (c change) export() Change {
	return Change{Revision: c.revision(), Deleted: c.deleted, Document: c.copyOf()}
}

// scopes are those that the change is filed under. They are distinct, and a
// filter never has two of them. Who owned the document before sees it go.
func (c change) scopes() []scope {
	kind := c.doc.Kind
	s := []scope{{}, {kind: kind}}
	for _, owner := range []string{c.owner, c.formerOwner} {
		if owner != "" {
			s = append(s, scope{kind, owner}, scope{owner: owner})
		}
	}
	return s
}

// feed is the ring of the latest changes, with the watches on it. Changes are
// numbered from 0 in the order of their revisions: position p lies at p modulo
// the size of the ring.
type feed struct {
	ring  []change
	first int // position of the oldest change still held
	next  int // position of the next change
	// floor: all changes after this revision, and none before, were or are in the ring.
	floor int64
	// filed are the positions held, by scope, in order.
	filed   map[scope][]int
	watches map[scope]map[*Watch]struct{}
}

func newFeed(size int, revision int64) *feed {
	return &feed{
		ring: make([]change, size), floor: revision,
		filed: map[scope][]int{}, watches: map[scope]map[*Watch]struct{}{},
	}
}

func (f *feed) at(position int) *change { return &f.ring[position%len(f.ring)] }

// publish adds a change and wakes whoever waits for one like it. It never waits:
// a watch that has not read the change that must make room has lost it, and is told so.
func (f *feed) publish(c change) {
	if f.next-f.first == len(f.ring) {
		f.evict()
	}
	*f.at(f.next) = c
	for _, s := range c.scopes() {
		f.filed[s] = append(f.filed[s], f.next)
		for w := range f.watches[s] {
			w.notify()
		}
	}
	f.next++
}

func (f *feed) evict() {
	c := f.at(f.first)
	for _, s := range c.scopes() {
		for w := range f.watches[s] {
			w.lost = w.lost || w.position <= f.first
		}
		if rest := f.filed[s][1:]; len(rest) > 0 {
			f.filed[s] = rest
		} else {
			delete(f.filed, s)
		}
	}
	f.floor = c.revision()
	f.first++
}

// after returns the position of the first change after the revision, or false
// when the ring no longer holds all of them.
func (f *feed) after(revision, current int64) (int, bool) {
	if revision < f.floor || revision > current {
		return 0, false
	}
	i := sort.Search(f.next-f.first, func(i int) bool { return f.at(f.first+i).revision() > revision })
	return f.first + i, true
}

// collect returns the positions, in order, of at most limit changes from the
// position on that are filed under any of the scopes.
func (f *feed) collect(scopes []scope, from, limit int) []int {
	var found []int
	for _, s := range scopes {
		filed := f.filed[s]
		i, _ := slices.BinarySearch(filed, from)
		found = append(found, filed[i:min(len(filed), i+limit)]...)
	}
	slices.Sort(found)
	return found[:min(len(found), limit)]
}

func (f *feed) add(w *Watch) {
	for _, s := range w.scopes {
		if f.watches[s] == nil {
			f.watches[s] = map[*Watch]struct{}{}
		}
		f.watches[s][w] = struct{}{}
	}
}

func (f *feed) remove(w *Watch) {
	for _, s := range w.scopes {
		delete(f.watches[s], w)
		if len(f.watches[s]) == 0 {
			delete(f.watches, s)
		}
	}
}
