package sqlite

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"strconv"
)

// Row is a document as it is kept. In a Batch a nil Body deletes it.
type Row struct {
	Kind, Name string
	Revision   int64
	Body       []byte
	// Replaces is, in a Batch, the checksum of the row that this one replaces or deletes; 0: none.
	Replaces int64
}

// Booking is a number of a pool. In a Batch an empty Holder frees it.
type Booking struct {
	Pool   string
	Number int64
	Holder string
	// Replaces is, in a Batch, who held the number before; empty: nobody.
	Replaces string
}

// Head is where a file stands.
type Head struct {
	Revision int64 // of the last write
	Sequence int64 // counts commits
	// Copied: the file is a snapshot or a backup, so later revisions may have been given out.
	Copied bool
}

// Batch is what one commit writes.
type Batch struct {
	Head      Head // after the commit
	Documents []Row
	Bookings  []Booking
}

// Contents is everything that a file holds.
type Contents struct {
	Head      Head
	Documents []Row
	Bookings  []Booking
	// Damaged are rows whose checksum was wrong; they are not among the others.
	Damaged []Damaged
}

// Damaged is a row that was set aside.
type Damaged struct {
	Kind, Name string
	Revision   int64
	// Booking: it is a number of a pool; the pool is in Name, the number in Revision.
	Booking bool

	body     []byte
	checksum int64
}

func (d Damaged) String() string {
	if d.Booking {
		return fmt.Sprintf("the booking of number %d of %s", d.Revision, d.Name)
	}
	return fmt.Sprintf("%s %s (revision %d)", d.Kind, d.Name, d.Revision)
}

// Checksum covers the whole row.
func (r Row) Checksum() int64 {
	return checksum(r.Kind, r.Name, r.Revision, string(r.Body))
}

func (b Booking) checksum() int64 { return bookingChecksum(b.Pool, b.Number, b.Holder) }

func bookingChecksum(pool string, number int64, holder string) int64 {
	return checksum(pool, holder, number, "")
}

// checksum covers the head and the total that is kept with it.
func (h Head) checksum(total int64) int64 {
	return checksum("head", strconv.FormatBool(h.Copied), h.Revision, fmt.Sprint(h.Sequence, total))
}

// gain is what the batch adds to the total of all checksums. The total finds
// what no row can tell of itself: that it is missing, or that it is an old one.
func (b Batch) gain() (n int64) {
	for _, r := range b.Documents {
		n -= r.Replaces
		if r.Body != nil {
			n += r.Checksum()
		}
	}
	for _, k := range b.Bookings {
		if k.Replaces != "" {
			n -= bookingChecksum(k.Pool, k.Number, k.Replaces)
		}
		if k.Holder != "" {
			n += k.checksum()
		}
	}
	return n
}

// checksum covers the columns with their lengths, so that no byte can move from
// one column to the next unseen.
func checksum(a, b string, n int64, body string) int64 {
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for _, s := range []string{a, b, body} {
		writeInt(h, int64(len(s)))
		h.Write([]byte(s))
	}
	writeInt(h, n)
	return int64(h.Sum32())
}

func writeInt(h hash.Hash, n int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}
