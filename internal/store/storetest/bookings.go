package storetest

import (
	"errors"
	"maps"
	"testing"

	"github.com/droverhq/drover/internal/store"
)

// desk books on behalf of a test.
type desk struct {
	*testing.T
	store *store.Store
}

func (d desk) update(fn func(tx *store.Tx) error) {
	d.Helper()
	if _, err := d.store.Update(d.Context(), fn); err != nil {
		d.Fatal(err)
	}
}

// book wants a number from 10 to 13.
func (d desk) book(tx *store.Tx, holder string, want int, taken func(int) bool) {
	d.Helper()
	if n, err := tx.Book("port", holder, 10, 13, taken); err != nil || n != want {
		d.Errorf("%s was given %d, not %d: %v", holder, n, want, err)
	}
}

func (d desk) booked(want map[int]string) {
	d.Helper()
	d.update(func(tx *store.Tx) error {
		got, err := tx.Booked("port")
		if !maps.Equal(got, want) {
			d.Errorf("booked are %v, not %v", got, want)
		}
		return err
	})
}

func is(n int) func(int) bool { return func(m int) bool { return m == n } }

func (s suite) bookings(t *testing.T) {
	dir := t.TempDir()
	d := desk{t, s.start(t, dir)}
	d.update(func(tx *store.Tx) error {
		d.book(tx, "a", 10, nil)
		d.book(tx, "b", 11, nil)
		d.book(tx, "a", 10, is(11))
		d.book(tx, "a", 12, is(10)) // 10 is free again, but comes last
		d.book(tx, "c", 13, nil)
		d.book(tx, "d", 10, nil)
		for holder, taken := range map[string]func(int) bool{"e": nil, "a": is(12)} {
			if _, err := tx.Book("port", holder, 10, 13, taken); !errors.Is(err, store.ErrPoolEmpty) {
				t.Errorf("%s from an empty pool: %v", holder, err)
			}
		}
		d.book(tx, "a", 12, nil)
		return nil
	})
	_, err := d.store.Update(t.Context(), func(tx *store.Tx) error {
		return errors.Join(tx.Unbook("port", "a"), tx.BookExact("port", "b", 12), errors.New("no"))
	})
	if err == nil {
		t.Error("no error")
	}
	d.update(func(tx *store.Tx) error {
		if err := tx.BookExact("port", "b", 12); !errors.Is(err, store.ErrConflict) {
			t.Errorf("a number that another holds: %v", err)
		}
		return errors.Join(tx.Unbook("port", "nobody"), tx.Unbook("port", "a"), tx.BookExact("port", "b", 12), tx.BookExact("uid", "b", 12))
	})
	want := map[int]string{10: "d", 12: "b", 13: "c"}
	d.booked(want)
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
	d.store = s.start(t, dir)
	d.booked(want)
	d.update(func(tx *store.Tx) error { d.book(tx, "e", 11, nil); return nil })
}
