package sqlite

import (
	"encoding/binary"
	"hash"
	"hash/crc32"
	"strconv"
)

// Row is a document as it is kept. In a Batch a nil Body deletes it.
type Row struct {
	Kind, Name string
	Revision   int64
	Body       []byte
}

// Booking is a number of a pool. In a Batch an empty Holder frees it.
type Booking struct {
	Pool   string
	Number int64
	Holder string
}

// Batch is what one commit writes.
type Batch struct {
	Revision  int64 // of the last write in it
	Documents []Row
	Bookings  []Booking
}

// Contents is everything that a file holds.
type Contents struct {
	Revision  int64
	Documents []Row
	Bookings  []Booking
	// Copied: the file is a snapshot or a backup, so later revisions may have been given out.
	Copied bool
	// Damaged are rows whose checksum was wrong; they are not among the others.
	Damaged []Damaged
}

// Damaged is a row that was set aside.
type Damaged struct {
	Kind, Name string // Kind is empty for a booking, Name is then POOL/NUMBER
	Revision   int64

	body     []byte
	checksum int64
}

func (r Row) checksum() int64 {
	return checksum(r.Kind, r.Name, r.Revision, string(r.Body))
}

func (b Booking) checksum() int64 {
	return checksum(b.Pool, b.Holder, b.Number, "")
}

func headChecksum(revision int64, copied bool) int64 {
	return checksum("head", strconv.FormatBool(copied), revision, "")
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
