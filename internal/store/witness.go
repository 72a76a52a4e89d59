package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"

	"github.com/droverhq/drover/internal/store/sqlite"
)

// witness is a small file beside the database that says up to where writes were
// acknowledged. A WAL that lost its end is a valid WAL to SQLite: only the
// witness can tell. It is written after each commit, without a sync of its own,
// so it is never ahead of the database; after a power cut it may be behind, and
// then it just notices less.
type witness struct {
	file *os.File
}

const witnessSize = 20 // revision, sequence, checksum

// openWitness also returns what it has seen, or nil if that cannot be known.
func openWitness(path string) (*witness, *sqlite.Head, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	var record [witnessSize]byte
	if _, err := f.ReadAt(record[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, errors.Join(err, f.Close())
	}
	seen := &sqlite.Head{
		Revision: int64(binary.BigEndian.Uint64(record[:8])),
		Sequence: int64(binary.BigEndian.Uint64(record[8:16])),
	}
	if binary.BigEndian.Uint32(record[16:]) != crc32.ChecksumIEEE(record[:16]) {
		seen = nil
	}
	return &witness{f}, seen, nil
}

func (w *witness) write(h sqlite.Head) error {
	var record [witnessSize]byte
	binary.BigEndian.PutUint64(record[:8], uint64(h.Revision))
	binary.BigEndian.PutUint64(record[8:16], uint64(h.Sequence))
	binary.BigEndian.PutUint32(record[16:], crc32.ChecksumIEEE(record[:16]))
	_, err := w.file.WriteAt(record[:], 0)
	return err
}

// sync writes what must survive even a power cut.
func (w *witness) sync(h sqlite.Head) error {
	return errors.Join(w.write(h), w.file.Sync())
}

func (w *witness) close() error { return w.file.Close() }
