package storetest

import (
	"errors"
	"maps"
	"testing"

	"github.com/droverhq/drover/internal/store"
)

func (s suite) bookings(t *testing.T) {
	dir := t.TempDir()
	st := s.start(t, dir)
	update := func(fn func(tx *store.Tx) error) {
		t.Helper()
		if _, err := st.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	book := func(tx *store.Tx, holder string, want int, taken func(int) bool) {
		t.Helper()
		if n, err := tx.Book("port", holder, 10, 13, taken); err != nil || n != want {
			t.Errorf("%s was given %d, not %d: %v", holder, n, want, err)
		}
	}
	is := func(n int) func(int) bool { return func(m int) bool { return m == n } }
	update(func(tx *store.Tx) error {
		book(tx, "a", 10, nil)
		book(tx, "b", 11, nil)
		book(tx, "a", 10, is(11))
		book(tx, "a", 12, is(10)) // 10 is free again, but comes last
		book(tx, "c", 13, nil)
		book(tx, "d", 10, nil)
		_, err := tx.Book("port", "e", 10, 13, nil)
		if !errors.Is(err, store.ErrPoolEmpty) {
			t.Errorf("from an empty pool: %v", err)
		}
		if _, err := tx.Book("port", "a", 10, 13, is(12)); !errors.Is(err, store.ErrPoolEmpty) {
			t.Errorf("no other is free: %v", err)
		}
		book(tx, "a", 12, nil)
		return nil
	})
	_, err := st.Update(t.Context(), func(tx *store.Tx) error {
		return errors.Join(tx.Unbook("port", "a"), tx.BookExact("port", "b", 12), errors.New("no"))
	})
	if err == nil {
		t.Error("no error")
	}
	update(func(tx *store.Tx) error {
		if err := tx.BookExact("port", "b", 12); !errors.Is(err, store.ErrConflict) {
			t.Errorf("a number that another holds: %v", err)
		}
		return errors.Join(tx.Unbook("port", "nobody"), tx.Unbook("port", "a"), tx.BookExact("port", "b", 12), tx.BookExact("uid", "b", 12))
	})
	check := func() {
		t.Helper()
		update(func(tx *store.Tx) error {
			got, err := tx.Booked("port")
			if want := map[int]string{10: "d", 12: "b", 13: "c"}; !maps.Equal(got, want) {
				t.Errorf("booked are %v, not %v", got, want)
			}
			return err
		})
	}
	check()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	st = s.start(t, dir)
	check()
	update(func(tx *store.Tx) error { book(tx, "e", 11, nil); return nil })
}
