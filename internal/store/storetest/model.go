package storetest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
	"pgregory.net/rapid"
)

// model is what a store is, without disk, index and concurrency.
type model struct {
	docs    map[[2]string]resource.Document
	changes []seen
}

func (m model) clone() model {
	return model{maps.Clone(m.docs), slices.Clone(m.changes)}
}

// likeModel: random updates, some of which fail, with restarts between, leave the
// store and the model with the same documents and the same changes.
func (s suite) likeModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		m := machine{T: rt, open: func() *store.Store {
			st, err := s.open(t.Context(), dir)
			if err != nil {
				rt.Fatal(err)
			}
			return st
		}, t: t, model: model{docs: map[[2]string]resource.Document{}}}
		m.store = m.open()
		defer func() {
			if err := m.store.Close(); err != nil {
				rt.Error(err)
			}
		}()
		m.watch = m.begin()
		rt.Repeat(map[string]func(*rapid.T){"": m.check, "update": m.update, "restart": m.restart})
	})
}

// machine holds the store and the model side by side.
type machine struct {
	*rapid.T
	t     *testing.T
	open  func() *store.Store
	store *store.Store
	model model
	watch *watcher
}

func (m *machine) begin() *watcher {
	w, err := m.store.Watch(m.t.Context(), m.store.Revision(), store.Filter{})
	if err != nil {
		m.Fatal(err)
	}
	m.model.changes = nil
	return &watcher{watch: w, after: m.store.Revision()}
}

// restart happens less often than it is drawn: it is slow.
func (m *machine) restart(rt *rapid.T) {
	if rapid.IntRange(0, 7).Draw(rt, "restart") > 0 {
		m.update(rt)
		return
	}
	revision := m.store.Revision()
	if err := m.store.Close(); err != nil {
		rt.Fatal(err)
	}
	m.store = m.open()
	if got := m.store.Revision(); got != revision {
		rt.Fatalf("after a restart the store is at revision %d, not %d", got, revision)
	}
	m.watch = m.begin()
}

var errUndo = errors.New("undo")

func (m *machine) update(rt *rapid.T) {
	next := m.model.clone()
	undo := rapid.IntRange(0, 4).Draw(rt, "undo") == 0
	steps := rapid.IntRange(1, 6).Draw(rt, "steps")
	// What rapid draws must be drawn on its own goroutine.
	var ops []op
	for range steps {
		ops = append(ops, drawOp(rt))
	}
	revision, err := m.store.Update(m.t.Context(), func(tx *store.Tx) error {
		for _, o := range ops {
			if err := o.apply(tx, &next); err != nil {
				return err
			}
			if err := compareLists(tx, next, o.kind, o.owner); err != nil {
				return err
			}
		}
		if undo {
			return errUndo
		}
		return nil
	})
	switch {
	case undo && errors.Is(err, errUndo):
	case undo || err != nil:
		rt.Fatalf("update: %v", err)
	default:
		m.model = next
		if n := len(next.changes); n > 0 && next.changes[n-1].Revision > revision {
			rt.Fatalf("the update returned revision %d, its last write was %d", revision, next.changes[n-1].Revision)
		}
	}
}

// op is one step of an update.
type op struct {
	kind, name, owner, value string
	delete                   bool
	condition                int // 0: none; 1: the right revision; 2: a wrong one
}

func drawOp(rt *rapid.T) op {
	return op{
		kind:      rapid.SampledFrom([]string{"Instance", "B"}).Draw(rt, "kind"),
		name:      rapid.SampledFrom([]string{"a", "b", "c/ü", "d", "D"}).Draw(rt, "name"),
		owner:     rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "owner"),
		value:     rapid.SampledFrom([]string{"", "1", "<&>", "\u2028\x00"}).Draw(rt, "value"),
		delete:    rapid.IntRange(0, 3).Draw(rt, "delete") == 0,
		condition: rapid.IntRange(0, 2).Draw(rt, "condition"),
	}
}

// apply does the step in the store and in the model, and compares.
func (o op) apply(tx *store.Tx, m *model) error {
	key := [2]string{o.kind, o.name}
	old, found := m.docs[key]
	var opts []store.PutOption
	if o.condition > 0 {
		opts = append(opts, store.IfRevision(old.Revision+int64(o.condition-1)))
	}
	var err error
	var d resource.Document
	if o.delete {
		err = tx.Delete(o.kind, o.name, opts...)
	} else {
		d, err = tx.Put(document(o.kind, o.name, o.owner, o.value), opts...)
	}
	switch {
	case o.condition == 2:
		return expect(err, store.ErrConflict)
	case o.delete && !found:
		return expect(err, store.ErrNotFound)
	case err != nil:
		return err
	case o.delete:
		delete(m.docs, key)
		return m.changed(seen{0, true, o.kind, o.name, resource.OwnerOf(old)})
	case found && string(d.Spec) == string(old.Spec) && string(d.Status) == string(old.Status):
		return expectSame(d, old)
	}
	m.docs[key] = d
	return m.changed(seen{d.Revision, false, o.kind, o.name, resource.OwnerOf(d)})
}

func (m *model) changed(c seen) error {
	if n := len(m.changes); !c.Deleted && n > 0 && m.changes[n-1].Revision >= c.Revision {
		return fmt.Errorf("revision %d follows %d", c.Revision, m.changes[n-1].Revision)
	}
	m.changes = append(m.changes, c)
	return nil
}

func expect(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("%w was expected, got %v", want, err)
}

func expectSame(got, want resource.Document) error {
	if got.Revision != want.Revision || got.Generation != want.Generation {
		return fmt.Errorf("nothing changed, but revision %d became %d", want.Revision, got.Revision)
	}
	return nil
}

// compareLists compares a list within the transaction with the model's.
func compareLists(tx *store.Tx, m model, kind, owner string) error {
	for _, o := range []store.ListOptions{{}, {Owner: owner}} {
		list, err := tx.List(kind, o)
		if err != nil {
			return err
		}
		if got, want := revisions(list.Items), m.list(kind, o.Owner); !slices.Equal(got, want) {
			return fmt.Errorf("%s of %q are %v, not %v", kind, o.Owner, got, want)
		}
	}
	return nil
}

func revisions(docs []resource.Document) (out []string) {
	for _, d := range docs {
		out = append(out, fmt.Sprintf("%s@%d/%d %s", d.Name, d.Revision, d.Generation, d.Spec))
	}
	return out
}

func (m model) list(kind, owner string) []string {
	var docs []resource.Document
	for _, d := range m.docs {
		if d.Kind == kind && (owner == "" || resource.OwnerOf(d) == owner) {
			docs = append(docs, d)
		}
	}
	slices.SortFunc(docs, func(a, b resource.Document) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return revisions(docs)
}

// check compares the committed documents, and the changes since the last start.
func (m *machine) check(rt *rapid.T) {
	for _, kind := range []string{"Instance", "B"} {
		for _, owner := range []string{"", "x", "y"} {
			list, err := m.store.List(m.t.Context(), kind, store.ListOptions{Owner: owner})
			if err != nil {
				rt.Fatal(err)
			}
			if got, want := revisions(list.Items), m.model.list(kind, owner); !slices.Equal(got, want) {
				rt.Fatalf("%s of %q are %v, not %v", kind, owner, got, want)
			}
		}
	}
	if err := m.watch.read(ended(m.t)); err != nil {
		rt.Fatal(err)
	}
	if len(m.watch.got) != len(m.model.changes) {
		rt.Fatalf("%d changes were seen, %d were made", len(m.watch.got), len(m.model.changes))
	}
	for i, got := range m.watch.got {
		want := m.model.changes[i]
		if want.Deleted {
			want.Revision = got.Revision // which the transaction does not tell
		}
		if got != want || (i > 0 && got.Revision <= m.watch.got[i-1].Revision) {
			rt.Fatalf("change %d is %+v, not %+v", i, got, want)
		}
	}
}
