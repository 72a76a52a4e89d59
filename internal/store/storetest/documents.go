package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
	"github.com/google/go-cmp/cmp"
)

// document makes one whose owner the store can see, when set is given.
func document(kind, name, set, value string) resource.Document {
	d := resource.Document{Meta: resource.Meta{Kind: kind, Name: name}, Spec: object("value", value)}
	if set != "" {
		d.Status = object("set", set)
	}
	return d
}

func object(field, value string) json.RawMessage {
	raw, err := json.Marshal(map[string]string{field: value})
	if err != nil {
		panic(err) // strings always encode
	}
	return raw
}

// put writes a document alone.
func put(ctx context.Context, st *store.Store, d resource.Document, opts ...store.PutOption) (out resource.Document, err error) {
	_, err = st.Update(ctx, func(tx *store.Tx) error {
		out, err = tx.Put(d, opts...)
		return err
	})
	return out, err
}

func mustPut(t testing.TB, st *store.Store, d resource.Document, opts ...store.PutOption) resource.Document {
	t.Helper()
	out, err := put(t.Context(), st, d, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func remove(ctx context.Context, st *store.Store, kind, name string, opts ...store.PutOption) (int64, error) {
	return st.Update(ctx, func(tx *store.Tx) error { return tx.Delete(kind, name, opts...) })
}

func (s suite) documents(t *testing.T) {
	st := s.start(t, t.TempDir())
	first := mustPut(t, st, document("A", "a", "", "1"))
	if first.Revision != st.Revision() || first.Generation != 1 || first.Created.IsZero() {
		t.Errorf("the first write is %+v, the store at revision %d", first.Meta, st.Revision())
	}
	status := first
	status.Status = []byte(`{"x": 1}`)
	second := mustPut(t, st, status)
	if second.Revision <= first.Revision || second.Generation != 1 || !second.Created.Equal(first.Created) {
		t.Errorf("after a change of status it is %+v, before %+v", second.Meta, first.Meta)
	}
	third := mustPut(t, st, document("A", "a", "", "2"))
	if third.Generation != 2 {
		t.Errorf("after a change of spec the generation is %d, not 2", third.Generation)
	}
	got, err := st.Get(t.Context(), "A", "a")
	if err != nil || cmp.Diff(third, got) != "" {
		t.Errorf("read back: %v, difference %s", err, cmp.Diff(third, got))
	}
	revision, err := remove(t.Context(), st, "A", "a")
	if err != nil || revision <= third.Revision {
		t.Errorf("deleted at revision %d: %v", revision, err)
	}
	for _, err := range []error{second2(st.Get(t.Context(), "A", "a")), second2(remove(t.Context(), st, "A", "a"))} {
		if !errors.Is(err, store.ErrNotFound) || resource.CodeOf(err) != resource.CodeNotFound || !strings.Contains(err.Error(), "A a") {
			t.Errorf("of a document that is gone: %v", err)
		}
	}
	if again := mustPut(t, st, document("A", "a", "", "3")); again.Generation != 1 || again.Revision <= revision {
		t.Errorf("made again it is %+v", again.Meta)
	}
}

func second2[T any](_ T, err error) error { return err }

func (s suite) conditions(t *testing.T) {
	st := s.start(t, t.TempDir())
	d := mustPut(t, st, document("A", "a", "", "1"), store.IfRevision(0))
	for name, try := range map[string]func() error{
		"put of one that is there": func() error { return second2(put(t.Context(), st, document("A", "a", "", "2"), store.IfRevision(0))) },
		"put over another revision": func() error {
			return second2(put(t.Context(), st, document("A", "a", "", "2"), store.IfRevision(d.Revision+1)))
		},
		"put over one that is not there": func() error { return second2(put(t.Context(), st, document("A", "b", "", "2"), store.IfRevision(1))) },
		"delete of another revision":     func() error { return second2(remove(t.Context(), st, "A", "a", store.IfRevision(d.Revision+1))) },
	} {
		if err := try(); !errors.Is(err, store.ErrConflict) || resource.CodeOf(err) != resource.CodeRevisionConflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	if st.Revision() != d.Revision {
		t.Errorf("the revision went from %d to %d", d.Revision, st.Revision())
	}
	if _, err := put(t.Context(), st, document("A", "a", "", "2"), store.IfRevision(d.Revision)); err != nil {
		t.Error(err)
	}
}

func (s suite) lists(t *testing.T) {
	dir := t.TempDir()
	st := s.start(t, dir)
	for i := range 25 {
		d := document(resource.KindInstance, fmt.Sprintf("i%02d", i), []string{"even", "odd"}[i%2], "")
		d.Labels = map[string]string{"third": fmt.Sprint(i % 3)}
		mustPut(t, st, d)
	}
	mustPut(t, st, document(resource.KindScaleSet, "i03x", "", ""))
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	st = s.start(t, dir)
	for _, test := range []struct {
		options store.ListOptions
		want    string
	}{
		{store.ListOptions{Owner: "odd", Labels: map[string]string{"third": "0"}}, "i03 i09 i15 i21"},
		{store.ListOptions{Labels: map[string]string{"third": "2", "other": ""}}, ""},
		{store.ListOptions{Owner: "none"}, ""},
		{store.ListOptions{Owner: "even", Continue: "i20"}, "i22 i24"},
		{store.ListOptions{Owner: "even", Continue: "i21x"}, "i22 i24"},
	} {
		for page := range 4 { // 0: all at once
			if got := names(t, st, test.options, page); got != test.want {
				t.Errorf("%+v in pages of %d: %q, not %q", test.options, page, got, test.want)
			}
		}
	}
}

// names lists all pages.
func names(t *testing.T, st *store.Store, o store.ListOptions, limit int) string {
	t.Helper()
	var all []string
	for o.Limit = limit; ; {
		list, err := st.List(t.Context(), resource.KindInstance, o)
		if err != nil || list.Revision != st.Revision() || (limit > 0 && len(list.Items) > limit) {
			t.Fatalf("%+v: %d items at revision %d: %v", o, len(list.Items), list.Revision, err)
		}
		for _, d := range list.Items {
			all = append(all, d.Name)
		}
		if o.Continue = list.Continue; o.Continue == "" {
			return strings.Join(all, " ")
		}
	}
}

func (s suite) nothingChanged(t *testing.T) {
	dir := t.TempDir()
	st := s.start(t, dir)
	d := document("A", "a", "", "<&>\u2028 é")
	d.Labels = map[string]string{"k": "<v>"}
	first := mustPut(t, st, d)
	d.Spec = []byte(" {\n\"value\" :  \"<&>\u2028 é\" }")
	d.Annotations = map[string]string{}
	again := mustPut(t, st, d)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	st = s.start(t, dir)
	for when, got := range map[string]resource.Document{"": again, "after a restart ": mustPut(t, st, d)} {
		if diff := cmp.Diff(first, got); diff != "" || st.Revision() != first.Revision {
			t.Errorf("%sthe same document again was written at revision %d: %s", when, st.Revision(), diff)
		}
	}
}

func (s suite) failedUpdates(t *testing.T) {
	st := s.start(t, t.TempDir())
	before := mustPut(t, st, document("A", "a", "", "1"))
	sentinel := errors.New("no")
	var escaped *store.Tx
	for name, end := range map[string]func() error{
		"error":  func() error { return sentinel },
		"panic":  func() error { panic(sentinel) },
		"goexit": func() error { runtime.Goexit(); return nil },
	} {
		_, err := st.Update(t.Context(), func(tx *store.Tx) error {
			escaped = tx
			if _, err := tx.Put(document("A", "a", "", "2")); err != nil {
				t.Error(err)
			}
			if err := tx.Delete("A", "a"); err != nil {
				t.Error(err)
			}
			return end()
		})
		if err == nil || (name == "error") != errors.Is(err, sentinel) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := escaped.Put(before); err == nil {
			t.Errorf("%s: a transaction that has ended still writes", name)
		}
	}
	got, err := st.Get(t.Context(), "A", "a")
	if err != nil || got.Revision != before.Revision || st.Revision() != before.Revision {
		t.Errorf("after updates that failed it is at revision %d, the store at %d, before at %d: %v", got.Revision, st.Revision(), before.Revision, err)
	}
	for _, bad := range []resource.Document{{}, document("A", "", "", ""), {Meta: before.Meta, Spec: []byte("{")}, {Meta: before.Meta, Status: []byte("\x00")}} {
		if _, err := put(t.Context(), st, bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

// copies: what callers do with the documents they gave or got is their business.
func (s suite) copies(t *testing.T) {
	st := s.start(t, t.TempDir())
	d := document("A", "a", "s", "1")
	d.Labels = map[string]string{"k": "v"}
	want := mustPut(t, st, d)
	w, err := st.Watch(t.Context(), 0, store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	changes, err := w.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := st.Get(t.Context(), "A", "a")
	if err != nil {
		t.Fatal(err)
	}
	list, err := st.List(t.Context(), "A", store.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, mine := range []resource.Document{d, got, list.Items[0], changes[0].Document, mustPut(t, st, want)} {
		clear(mine.Labels)
		clear(mine.Spec)
		_ = append(mine.Spec, "and more"...)
		clear(mine.Status)
	}
	if got, err := st.Get(t.Context(), "A", "a"); err != nil || string(got.Spec) != `{"value":"1"}` || got.Labels["k"] != "v" || string(got.Status) != `{"set":"s"}` {
		t.Errorf("the store's own document was changed to %+v: %v", got, err)
	}
}

func (s suite) cancelled(t *testing.T) {
	st := s.start(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	if _, err := st.Update(ctx, func(*store.Tx) error { ran = true; return nil }); !errors.Is(err, context.Canceled) || ran {
		t.Errorf("a cancelled update ran: %t, %v", ran, err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	if _, err := put(t.Context(), st, document("A", "a", "", "")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("an update of a closed store: %v", err)
	}
	if err := st.Run(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("running a closed store: %v", err)
	}
}

func (s suite) backup(t *testing.T) {
	st := s.start(t, t.TempDir())
	d := mustPut(t, st, document("A", "a", "", "1"))
	dir := t.TempDir()
	path := dir + "/documents.db"
	if err := st.BackupTo(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := st.BackupTo(t.Context(), path); err == nil {
		t.Error("a backup was written over another")
	}
	later := mustPut(t, st, document("A", "b", "", "1"))
	restored := s.start(t, dir)
	if got, err := restored.Get(t.Context(), "A", "a"); err != nil || cmp.Diff(d, got) != "" {
		t.Errorf("restored: %v, difference %s", err, cmp.Diff(d, got))
	}
	if restored.Recovery() != nil {
		t.Errorf("a backup was taken for damage: %s", restored.Recovery())
	}
	if restored.Revision() <= later.Revision {
		t.Errorf("restored, the store goes on from revision %d: %d was given out already", restored.Revision(), later.Revision)
	}
}
