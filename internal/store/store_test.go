package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestBasics(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	w, err := s.Watch(t.Context(), 0, store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			_, err := s.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.Put(resource.Document{Meta: resource.Meta{Kind: "Instance", Name: fmt.Sprint("a_", i)}, Status: []byte(`{"set": "a"}`)}, store.IfRevision(0))
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for n := int64(0); n < 64; {
		changes, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changes {
			if n++; c.Revision != n {
				t.Fatal(c.Revision, n)
			}
		}
	}
	if _, err := s.Update(t.Context(), func(tx *store.Tx) error { panic("x") }); err == nil {
		t.Fatal("no error")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	l, err := s.List(t.Context(), "Instance", store.ListOptions{Owner: "a"})
	if err != nil || len(l.Items) != 64 || l.Revision != 64 {
		t.Fatal(err, len(l.Items), l.Revision)
	}
	if _, err := s.Get(t.Context(), "Instance", "zz"); !errors.Is(err, store.ErrNotFound) || !resource.IsCode(err, resource.CodeNotFound) {
		t.Fatal(err)
	}
}
