package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store/sqlite"
)

// decode builds the memory from what a file holds.
func decode(c sqlite.Contents) (*memory, error) {
	m := newMemory(c.Head)
	for _, r := range c.Documents {
		var d resource.Document
		if err := json.Unmarshal(r.Body, &d); err != nil {
			return nil, fmt.Errorf("decode %s %s: %w", r.Kind, r.Name, err)
		}
		e := newEntry(d)
		e.checksum = r.Checksum()
		m.put(e)
	}
	for _, b := range c.Bookings {
		m.book(poolNumber{b.Pool, int(b.Number)}, b.Holder)
	}
	return m, nil
}

// contents is the inverse: everything committed, as of one revision.
func (s *Store) contents() (sqlite.Contents, error) {
	s.mu.RLock()
	c := sqlite.Contents{Head: sqlite.Head{Revision: s.memory.revision, Sequence: s.memory.sequence}}
	entries := s.memory.all()
	c.Bookings = s.memory.allBookings()
	s.mu.RUnlock()
	for _, e := range entries {
		row, err := encodeEntry(e)
		if err != nil {
			return c, err
		}
		c.Documents = append(c.Documents, row)
	}
	return c, nil
}

// encode makes rows of what the batch leaves behind: of several writes to one
// document, the last.
func (b *batch) encode() (sqlite.Batch, error) {
	out := sqlite.Batch{Head: sqlite.Head{Revision: b.revision}}
	for k, e := range b.writes.docs {
		row := sqlite.Row{Kind: k.kind, Name: k.name}
		if e != nil {
			var err error
			if row, err = encodeEntry(e); err != nil {
				return out, err
			}
			e.checksum = row.Checksum()
		}
		if old := b.memory.get(k); old != nil {
			row.Replaces = old.checksum
		}
		out.Documents = append(out.Documents, row)
	}
	for n, holder := range b.writes.holders {
		out.Bookings = append(out.Bookings, sqlite.Booking{
			Pool: n.pool, Number: int64(n.number), Holder: holder, Replaces: b.memory.holderOf(n),
		})
	}
	return out, nil
}

func encodeEntry(e *entry) (sqlite.Row, error) {
	body, err := json.Marshal(e.doc)
	if err != nil {
		return sqlite.Row{}, fmt.Errorf("encode %s %s: %w", e.doc.Kind, e.doc.Name, err)
	}
	return sqlite.Row{Kind: e.doc.Kind, Name: e.doc.Name, Revision: e.doc.Revision, Body: body}, nil
}

// all returns every entry in the order of kinds and names.
func (m *memory) all() []*entry {
	var entries []*entry
	for s, list := range m.byName {
		if s.owner == "" {
			entries = append(entries, list...)
		}
	}
	slices.SortFunc(entries, func(a, b *entry) int {
		if by := strings.Compare(a.doc.Kind, b.doc.Kind); by != 0 {
			return by
		}
		return strings.Compare(a.doc.Name, b.doc.Name)
	})
	return entries
}

func (m *memory) allBookings() []sqlite.Booking {
	var out []sqlite.Booking
	for _, name := range slices.Sorted(maps.Keys(m.bookings)) {
		holders := m.bookings[name].holders
		for _, n := range slices.Sorted(maps.Keys(holders)) {
			out = append(out, sqlite.Booking{Pool: name, Number: int64(n), Holder: holders[n]})
		}
	}
	return out
}
