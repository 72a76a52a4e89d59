package store

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store/sqlite"
)

type key struct{ kind, name string }

// entry is a document in memory. Once others can see it, it never changes.
type entry struct {
	doc      resource.Document
	owner    string
	checksum int64 // of its row; known before others can see it
}

func newEntry(d resource.Document) *entry {
	return &entry{doc: d, owner: resource.OwnerOf(d)}
}

func (e *entry) key() key { return key{e.doc.Kind, e.doc.Name} }

// copyOf returns a document that the caller may do with as it likes: decoding
// into a RawMessage, say, writes over the bytes that it held.
func (e *entry) copyOf() resource.Document {
	d := e.doc
	d.Labels, d.Annotations = maps.Clone(d.Labels), maps.Clone(d.Annotations)
	raw := make(json.RawMessage, 0, len(d.Spec)+len(d.Status))
	raw = append(append(raw, d.Spec...), d.Status...)
	if d.Spec != nil {
		d.Spec = raw[:len(d.Spec):len(d.Spec)]
	}
	if d.Status != nil {
		d.Status = raw[len(d.Spec):]
	}
	return d
}

// scope is a slice of the documents: one kind, or one owner's of that kind. An
// empty field means any.
type scope struct{ kind, owner string }

// memory is everything committed, as reads see it. The writer alone changes it.
type memory struct {
	revision int64
	sequence int64              // of the commit, as the database counts them
	byName   map[scope][]*entry // sorted by name; kind is never empty
	bookings map[string]*pool
}

// pool is who holds which numbers.
type pool struct {
	holders map[int]string
	numbers map[string]int
}

func newMemory(h sqlite.Head) *memory {
	return &memory{revision: h.Revision, sequence: h.Sequence, byName: map[scope][]*entry{}, bookings: map[string]*pool{}}
}

func compareName(e *entry, name string) int { return cmp.Compare(e.doc.Name, name) }

func (m *memory) get(k key) *entry {
	list := m.byName[scope{kind: k.kind}]
	if i, found := slices.BinarySearchFunc(list, k.name, compareName); found {
		return list[i]
	}
	return nil
}

// list returns a scope's entries; the slice must not be kept after memory changes.
func (m *memory) list(s scope) []*entry { return m.byName[s] }

func (m *memory) put(e *entry) {
	old := m.get(e.key())
	if old != nil && old.owner != e.owner && old.owner != "" {
		m.remove(scope{e.doc.Kind, old.owner}, e.doc.Name)
	}
	m.insert(scope{kind: e.doc.Kind}, e)
	if e.owner != "" {
		m.insert(scope{e.doc.Kind, e.owner}, e)
	}
}

func (m *memory) delete(k key) {
	old := m.get(k)
	if old == nil {
		return
	}
	m.remove(scope{kind: k.kind}, k.name)
	if old.owner != "" {
		m.remove(scope{k.kind, old.owner}, k.name)
	}
}

func (m *memory) insert(s scope, e *entry) {
	list := m.byName[s]
	i, found := slices.BinarySearchFunc(list, e.doc.Name, compareName)
	if found {
		list[i] = e
		return
	}
	m.byName[s] = slices.Insert(list, i, e)
}

func (m *memory) remove(s scope, name string) {
	list := m.byName[s]
	i, found := slices.BinarySearchFunc(list, name, compareName)
	if !found {
		return
	}
	if len(list) == 1 {
		delete(m.byName, s)
		return
	}
	m.byName[s] = slices.Delete(list, i, i+1)
}

// apply makes the layer's writes part of memory.
func (m *memory) apply(l *layer) {
	for k, e := range l.docs {
		if e == nil {
			m.delete(k)
		} else {
			m.put(e)
		}
	}
	for n, holder := range l.holders {
		m.book(n, holder)
	}
}

func (m *memory) holderOf(n poolNumber) string {
	if p := m.bookings[n.pool]; p != nil {
		return p.holders[n.number]
	}
	return ""
}

// book records that holder has the number, or, when holder is empty, that nobody has.
func (m *memory) book(n poolNumber, holder string) {
	p := m.bookings[n.pool]
	if p == nil {
		p = &pool{holders: map[int]string{}, numbers: map[string]int{}}
		m.bookings[n.pool] = p
	}
	if old, held := p.holders[n.number]; held && p.numbers[old] == n.number {
		delete(p.numbers, old)
	}
	if holder == "" {
		delete(p.holders, n.number)
		return
	}
	p.holders[n.number] = holder
	p.numbers[holder] = n.number
}
