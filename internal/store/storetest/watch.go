package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
	"github.com/google/go-cmp/cmp"
)

// seen is what matters of a change.
type seen struct {
	Revision          int64
	Deleted           bool
	Kind, Name, Owner string
}

func see(c store.Change) seen {
	return seen{c.Revision, c.Deleted, c.Document.Kind, c.Document.Name, resource.OwnerOf(c.Document)}
}

func matches(f store.Filter, c seen) bool {
	return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, c.Kind)) &&
		(f.Owner == "" || f.Owner == c.Owner) && (f.Name == "" || f.Name == c.Name)
}

// watcher reads one watch.
type watcher struct {
	filter store.Filter
	after  int64
	watch  *store.Watch
	got    []seen
}

func watch(t testing.TB, st *store.Store, after int64, f store.Filter) *watcher {
	t.Helper()
	w, err := st.Watch(t.Context(), after, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return &watcher{filter: f, after: after, watch: w}
}

// read reads until ctx ends.
func (w *watcher) read(ctx context.Context) error {
	for {
		changes, err := w.watch.Next(ctx)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, c := range changes {
			w.got = append(w.got, see(c))
			if c.Document.Revision != c.Revision {
				return fmt.Errorf("the change of revision %d shows a document at %d", c.Revision, c.Document.Revision)
			}
		}
	}
}

// ended is a context that has ended: with it a watch gives what is there, and no more.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// verify reads what is left and compares it with what was written.
func (w *watcher) verify(t *testing.T, written []seen) {
	t.Helper()
	if err := w.read(ended(t)); err != nil {
		t.Error(err)
	}
	var want []seen
	for _, c := range written {
		if c.Revision > w.after && matches(w.filter, c) {
			want = append(want, c)
		}
	}
	if diff := cmp.Diff(want, w.got); diff != "" {
		t.Errorf("watch of %+v after %d (-written +seen):\n%s", w.filter, w.after, diff)
	}
}

var filters = []store.Filter{
	{}, {Kinds: []string{"Instance"}}, {Kinds: []string{"Instance", "Rollout", "Instance"}}, {Owner: "s1"},
	{Kinds: []string{"Instance"}, Owner: "s0"}, {Kinds: []string{"Rollout", "Instance"}, Owner: "s2", Name: "d3"},
	{Name: "d1"}, {Kinds: []string{"Image"}, Owner: "s1"}, {Kinds: []string{"None"}},
}

// watchAll: many write, many watch from different revisions on; each sees all
// that is meant for it, once, in order.
func (s suite) watchAll(t *testing.T) {
	st := s.start(t, t.TempDir())
	const writers, updates = 8, 150
	var mu sync.Mutex
	var written []seen
	var watchers []*watcher
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writing, watching sync.WaitGroup
	begin := func(after int64) {
		for _, f := range filters {
			w := watch(t, st, after, f)
			watchers = append(watchers, w)
			watching.Go(func() {
				if err := w.read(ctx); err != nil {
					t.Error(err)
				}
			})
		}
	}
	begin(0)
	for n := range writers {
		writing.Go(func() {
			for i := range updates {
				changes, err := scribble(t, st, n, i)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				written = append(written, changes...)
				mu.Unlock()
			}
		})
	}
	begin(st.Revision())
	writing.Wait()
	begin(st.Revision() / 2)
	cancel()
	watching.Wait()
	slices.SortFunc(written, func(a, b seen) int { return int(a.Revision - b.Revision) })
	for _, w := range watchers {
		w.verify(t, written)
	}
}

// scribble writes a few documents in one update, and deletes some.
func scribble(t *testing.T, st *store.Store, n, i int) (written []seen, err error) {
	_, err = st.Update(t.Context(), func(tx *store.Tx) error {
		for j := range 1 + i%3 {
			kind := []string{"Instance", "Image"}[(n+i)%2]
			d := document(kind, fmt.Sprint("d", (i+j)%5), fmt.Sprint("s", (i+j)%5%3), fmt.Sprint(n, i, j))
			if i%4 == 3 {
				err := tx.Delete(d.Kind, d.Name)
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if err != nil {
					return err
				}
				// The revision of a deletion is between those of the writes around it.
				mark, err := tx.Put(document("Rollout", fmt.Sprint("mark", n), "", fmt.Sprint(i, j)))
				if err != nil {
					return err
				}
				written = append(written,
					seen{mark.Revision - 1, true, d.Kind, d.Name, resource.OwnerOf(d)},
					seen{mark.Revision, false, mark.Kind, mark.Name, ""})
				continue
			}
			d, err := tx.Put(d)
			if err != nil {
				return err
			}
			written = append(written, seen{d.Revision, false, d.Kind, d.Name, resource.OwnerOf(d)})
		}
		return nil
	})
	return written, err
}

// watchTooSlow: a watch that does not read loses changes, is told so, and holds
// nobody up; one that has nothing to read loses none.
func (s suite) watchTooSlow(t *testing.T) {
	st := s.start(t, t.TempDir())
	slow := watch(t, st, 0, store.Filter{})
	quiet := watch(t, st, 0, store.Filter{Kinds: []string{"Quiet"}})
	for i := range 20 {
		if _, err := st.Update(t.Context(), func(tx *store.Tx) error {
			for j := range 1000 {
				if _, err := tx.Put(document("Loud", fmt.Sprint(j), "", fmt.Sprint(i))); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if changes, err := slow.watch.Next(t.Context()); !errors.Is(err, store.ErrTooOld) || resource.CodeOf(err) != resource.CodeGone {
		t.Errorf("a watch that was too slow got %d changes: %v", len(changes), err)
	}
	current := st.Revision()
	for _, after := range []int64{0, 1, current + 1} {
		if _, err := st.Watch(t.Context(), after, store.Filter{}); !errors.Is(err, store.ErrTooOld) {
			t.Errorf("a watch after %d of %d: %v", after, current, err)
		}
	}
	late := watch(t, st, current-5000, store.Filter{Kinds: []string{"Loud"}, Name: "7"})
	d := mustPut(t, st, document("Quiet", "a", "", ""))
	quiet.verify(t, []seen{{d.Revision, false, "Quiet", "a", ""}})
	var want []seen
	for r := current - 5000 + 8; r <= current; r += 1000 {
		want = append(want, seen{r, false, "Loud", "7", ""})
	}
	late.verify(t, want)
}

func (s suite) watchRestart(t *testing.T) {
	dir := t.TempDir()
	st := s.start(t, dir)
	old := mustPut(t, st, document("A", "a", "", "1"))
	last := mustPut(t, st, document("A", "a", "", "2"))
	w := watch(t, st, last.Revision, store.Filter{})
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.watch.Next(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("the watch of a closed store: %v", err)
	}
	st = s.start(t, dir)
	if _, err := st.Watch(t.Context(), old.Revision, store.Filter{}); !errors.Is(err, store.ErrTooOld) {
		t.Errorf("a watch from before the restart: %v", err)
	}
	w = watch(t, st, last.Revision, store.Filter{})
	next := mustPut(t, st, document("A", "a", "", "3"))
	w.verify(t, []seen{{next.Revision, false, "A", "a", ""}})
}

// watchAndList: a list and the changes after it make up the state at any later time.
func (s suite) watchAndList(t *testing.T) {
	st := s.start(t, t.TempDir())
	var writing sync.WaitGroup
	for n := range 4 {
		writing.Go(func() {
			for i := range 200 {
				if _, err := scribble(t, st, n, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	type follower struct {
		state map[string]int64
		watch *watcher
	}
	var followers []follower
	for range 20 {
		list, err := st.List(t.Context(), "Instance", store.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		f := follower{map[string]int64{}, watch(t, st, list.Revision, store.Filter{Kinds: []string{"Instance"}})}
		for _, d := range list.Items {
			f.state[d.Name] = d.Revision
		}
		followers = append(followers, f)
	}
	writing.Wait()
	final, err := st.List(t.Context(), "Instance", store.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{}
	for _, d := range final.Items {
		want[d.Name] = d.Revision
	}
	for _, f := range followers {
		if err := f.watch.read(ended(t)); err != nil {
			t.Error(err)
		}
		for _, c := range f.watch.got {
			if f.state[c.Name] = c.Revision; c.Deleted {
				delete(f.state, c.Name)
			}
		}
		if diff := cmp.Diff(want, f.state); diff != "" {
			t.Errorf("followed from %d (-listed +followed):\n%s", f.watch.after, diff)
		}
	}
}

// watchOwner: a document that is given to another owner is seen by both.
func (s suite) watchOwner(t *testing.T) {
	st := s.start(t, t.TempDir())
	var watchers []*watcher
	for _, f := range []store.Filter{{Owner: "a"}, {Owner: "b"}, {Kinds: []string{"Instance"}, Owner: "a"}, {Kinds: []string{"Instance"}, Owner: "b"}, {}} {
		watchers = append(watchers, watch(t, st, 0, f))
	}
	first := mustPut(t, st, document("Instance", "i", "a", ""))
	second := mustPut(t, st, document("Instance", "i", "b", ""))
	third, err := remove(t.Context(), st, "Instance", "i")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range watchers {
		if err := w.read(ended(t)); err != nil {
			t.Error(err)
		}
		want := []seen{{first.Revision, false, "Instance", "i", "a"}, {second.Revision, false, "Instance", "i", "b"}, {third, true, "Instance", "i", "b"}}
		switch w.filter.Owner {
		case "a":
			want = want[:2]
		case "b":
			want = want[1:]
		}
		if diff := cmp.Diff(want, w.got); diff != "" {
			t.Errorf("watch of %+v (-written +seen):\n%s", w.filter, diff)
		}
	}
	for owner, want := range map[string]int{"a": 0, "b": 1} {
		mustPut(t, st, document("Instance", "i", "a", ""))
		mustPut(t, st, document("Instance", "i", "b", ""))
		list, err := st.List(t.Context(), "Instance", store.ListOptions{Owner: owner})
		if err != nil || len(list.Items) != want {
			t.Errorf("%d are listed of owner %s, not %d: %v", len(list.Items), owner, want, err)
		}
	}
}
