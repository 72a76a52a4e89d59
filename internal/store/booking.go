package store

import (
	"fmt"
	"maps"
)

// none is the number of one who holds none.
const none = -1

type poolNumber struct {
	pool   string
	number int
}

type poolHolder struct{ pool, holder string }

// Book gives holder a number of pool between lo and hi, both included, that
// nobody else holds and that taken, when given, does not refuse. A holder that
// has one in that range keeps it unless taken refuses it. Numbers are given out
// in a circle, so that one that was just freed comes last. Without a free one
// the error is ErrPoolEmpty and nothing changes.
func (tx *Tx) Book(pool, holder string, lo, hi int, taken func(int) bool) (int, error) {
	if tx.done {
		return 0, errTxDone
	}
	if holder == "" || lo < 0 || hi < lo {
		return 0, fmt.Errorf("book a number of %s: a holder and a range are needed, not %q and %d-%d", pool, holder, lo, hi)
	}
	if taken == nil {
		taken = func(int) bool { return false }
	}
	if n := tx.numberOf(pool, holder); n >= lo && n <= hi && !taken(n) {
		return n, nil
	}
	last, known := tx.below.lastBooked[pool]
	if !known || last < lo || last >= hi {
		last = lo - 1
	}
	size := hi - lo + 1
	for i := range size {
		n := lo + (last-lo+1+i)%size
		if tx.holderOf(pool, n) == "" && !taken(n) {
			tx.below.lastBooked[pool] = n
			tx.book(pool, holder, n)
			return n, nil
		}
	}
	return 0, detail(ErrPoolEmpty, "%s %d-%d", pool, lo, hi)
}

// BookExact gives holder that number in place of any other it holds. ErrConflict:
// somebody else has it.
func (tx *Tx) BookExact(pool, holder string, n int) error {
	if tx.done {
		return errTxDone
	}
	if holder == "" || n < 0 {
		return fmt.Errorf("book number %d of %s for %q: a holder and a number are needed", n, pool, holder)
	}
	switch other := tx.holderOf(pool, n); other {
	case holder:
		return nil
	case "":
		tx.book(pool, holder, n)
		return nil
	default:
		return detail(ErrConflict, "number %d of %s is held by %s", n, pool, other)
	}
}

// Unbook frees what holder holds of pool, if anything.
func (tx *Tx) Unbook(pool, holder string) error {
	if tx.done {
		return errTxDone
	}
	if n := tx.numberOf(pool, holder); n != none {
		tx.writes.holders[poolNumber{pool, n}] = ""
		tx.writes.numbers[poolHolder{pool, holder}] = none
	}
	return nil
}

// Booked returns who holds which number of pool.
func (tx *Tx) Booked(pool string) (map[int]string, error) {
	if tx.done {
		return nil, errTxDone
	}
	booked := map[int]string{}
	if p := tx.below.memory.bookings[pool]; p != nil {
		maps.Copy(booked, p.holders)
	}
	for _, l := range []*layer{tx.below.writes, tx.writes} { // the later over the earlier
		for n, holder := range l.holders {
			if n.pool == pool {
				booked[n.number] = holder
			}
		}
	}
	maps.DeleteFunc(booked, func(_ int, holder string) bool { return holder == "" })
	return booked, nil
}

// book moves holder from the number it has, if any, to n.
func (tx *Tx) book(pool, holder string, n int) {
	if old := tx.numberOf(pool, holder); old != none {
		tx.writes.holders[poolNumber{pool, old}] = ""
	}
	tx.writes.holders[poolNumber{pool, n}] = holder
	tx.writes.numbers[poolHolder{pool, holder}] = n
}

func (tx *Tx) numberOf(pool, holder string) int {
	for _, l := range tx.layers() {
		if n, ok := l.numbers[poolHolder{pool, holder}]; ok {
			return n
		}
	}
	if p := tx.below.memory.bookings[pool]; p != nil {
		if n, ok := p.numbers[holder]; ok {
			return n
		}
	}
	return none
}

func (tx *Tx) holderOf(pool string, n int) string {
	for _, l := range tx.layers() {
		if holder, ok := l.holders[poolNumber{pool, n}]; ok {
			return holder
		}
	}
	return tx.below.memory.holderOf(poolNumber{pool, n})
}
