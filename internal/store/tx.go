package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// maxDocument keeps one document from filling memory and the change ring.
const maxDocument = 16 << 20

var (
	errTxDone = errors.New("the transaction has ended")
	errExited = errors.New("the update ended its goroutine")
)

// Tx is a write transaction. It sees what is committed, what was decided before
// it in the same commit, and its own writes. It is valid until its function
// returns, and for that function's goroutine only.
type Tx struct {
	now     time.Time
	below   *batch
	writes  *layer
	changes []change
	done    bool
}

// layer holds writes on top of memory or of another layer.
type layer struct {
	docs    map[key]*entry        // nil: deleted
	holders map[poolNumber]string // "": free
	numbers map[poolHolder]int    // none: holds nothing
}

func newLayer() *layer {
	return &layer{map[key]*entry{}, map[poolNumber]string{}, map[poolHolder]int{}}
}

func (l *layer) empty() bool { return len(l.docs) == 0 && len(l.holders) == 0 }

// merge puts top's writes into l.
func (l *layer) merge(top *layer) {
	maps.Copy(l.docs, top.docs)
	maps.Copy(l.holders, top.holders)
	maps.Copy(l.numbers, top.numbers)
}

// Now is the time of the transaction, in UTC: the same whenever it is asked.
func (tx *Tx) Now() time.Time { return tx.now }

// Get returns a document.
func (tx *Tx) Get(kind, name string) (resource.Document, error) {
	if tx.done {
		return resource.Document{}, errTxDone
	}
	e := tx.lookup(key{kind, name})
	if e == nil {
		return resource.Document{}, detail(ErrNotFound, "%s %s", kind, name)
	}
	return e.copyOf(), nil
}

func (tx *Tx) lookup(k key) *entry {
	for _, l := range tx.layers() {
		if e, ok := l.docs[k]; ok {
			return e
		}
	}
	return tx.below.memory.get(k)
}

// layers are what lies above memory, the newest first.
func (tx *Tx) layers() [2]*layer { return [2]*layer{tx.writes, tx.below.writes} }

// List returns a kind's documents.
func (tx *Tx) List(kind string, o ListOptions) (List, error) {
	if tx.done {
		return List{}, errTxDone
	}
	written := map[string]*entry{}
	for _, l := range []*layer{tx.below.writes, tx.writes} { // the later over the earlier
		for k, e := range l.docs {
			if k.kind == kind {
				written[k.name] = e
			}
		}
	}
	entries := tx.below.memory.list(scope{kind, o.Owner})
	if len(written) > 0 {
		entries = overlay(entries, written, o.Owner)
	}
	return page(entries, tx.below.revision, o), nil
}

// overlay returns entries with what was written over them, sorted by name.
func overlay(entries []*entry, written map[string]*entry, owner string) []*entry {
	out := make([]*entry, 0, len(entries)+len(written))
	for _, e := range entries {
		if _, over := written[e.doc.Name]; !over {
			out = append(out, e)
		}
	}
	for _, e := range written {
		if e != nil && (owner == "" || e.owner == owner) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return strings.Compare(a.doc.Name, b.doc.Name) })
	return out
}

// PutOption says under which condition a document is written or deleted.
type PutOption func(*condition)

type condition struct {
	check    bool
	revision int64
}

// IfRevision writes only over that revision of the document; 0: only if there is
// none. Otherwise the write fails with ErrConflict.
func IfRevision(n int64) PutOption {
	return func(c *condition) { c.check, c.revision = true, n }
}

func (tx *Tx) verify(k key, old *entry, opts []PutOption) error {
	var c condition
	for _, o := range opts {
		o(&c)
	}
	var at int64
	if old != nil {
		at = old.doc.Revision
	}
	if !c.check || c.revision == at {
		return nil
	}
	if old == nil {
		return detail(ErrConflict, "%s %s is not there, revision %d was expected", k.kind, k.name, c.revision)
	}
	return detail(ErrConflict, "%s %s is at revision %d, %d was expected", k.kind, k.name, at, c.revision)
}

// Put writes a document and returns it as stored: Revision is the write's own,
// Created that of the first write, and Generation counts changes of the spec.
// Where nothing differs nothing is written.
func (tx *Tx) Put(d resource.Document, opts ...PutOption) (resource.Document, error) {
	if tx.done {
		return resource.Document{}, errTxDone
	}
	if d.Kind == "" || d.Name == "" {
		return resource.Document{}, fmt.Errorf("put: a document needs a kind and a name, not %q and %q", d.Kind, d.Name)
	}
	k := key{d.Kind, d.Name}
	old := tx.lookup(k)
	if err := tx.verify(k, old, opts); err != nil {
		return resource.Document{}, err
	}
	if err := normalise(&d); err != nil {
		return resource.Document{}, fmt.Errorf("put %s %s: %w", d.Kind, d.Name, err)
	}
	if old == nil {
		d.Generation, d.Created = 1, tx.now.Truncate(time.Millisecond)
	} else {
		if unchanged(old.doc, d) {
			return old.copyOf(), nil
		}
		d.Generation, d.Created = old.doc.Generation, old.doc.Created
		if !bytes.Equal(old.doc.Spec, d.Spec) {
			d.Generation++
		}
	}
	d.Revision = tx.below.next()
	e := newEntry(d)
	tx.writes.docs[k] = e
	tx.changes = append(tx.changes, newChange(e, old))
	return e.copyOf(), nil
}

// Delete removes a document.
func (tx *Tx) Delete(kind, name string, opts ...PutOption) error {
	if tx.done {
		return errTxDone
	}
	k := key{kind, name}
	old := tx.lookup(k)
	if err := tx.verify(k, old, opts); err != nil {
		return err
	}
	if old == nil {
		return detail(ErrNotFound, "%s %s", kind, name)
	}
	tx.writes.docs[k] = nil
	tx.changes = append(tx.changes, newDeletion(old, tx.below.next()))
	return nil
}

// normalise makes the document independent of the caller's memory and brings
// JSON to the one form that it also has after it was read back from disk.
func normalise(d *resource.Document) error {
	var err error
	if d.Spec, err = compact(d.Spec); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	if d.Status, err = compact(d.Status); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	if n := len(d.Spec) + len(d.Status); n > maxDocument {
		return resource.Errorf(resource.CodeTooLarge, "it has %d bytes, more than %d", n, maxDocument)
	}
	d.Labels, d.Annotations = maps.Clone(d.Labels), maps.Clone(d.Annotations)
	return nil
}

func compact(raw json.RawMessage) (json.RawMessage, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	return json.Marshal(raw)
}

func unchanged(a, b resource.Document) bool {
	return bytes.Equal(a.Spec, b.Spec) && bytes.Equal(a.Status, b.Status) &&
		maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}

// Reader is the transaction as a Reader, for code that reads from either.
func (tx *Tx) Reader() Reader { return txReader{tx} }

type txReader struct{ tx *Tx }

func (r txReader) Get(_ context.Context, kind, name string) (resource.Document, error) {
	return r.tx.Get(kind, name)
}

func (r txReader) List(_ context.Context, kind string, o ListOptions) (List, error) {
	return r.tx.List(kind, o)
}
