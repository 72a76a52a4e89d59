package sqlite

import (
	"errors"
	"fmt"
	"syscall"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// ErrDamaged marks a file whose contents cannot be trusted.
var ErrDamaged = errors.New("the database file is damaged")

// ErrTooNew marks a file that a newer version wrote.
var ErrTooNew = errors.New("the database was written by a newer version")

// foreign marks an error of the SQL itself, which is right for our tables, as
// damage: the tables are not ours.
func foreign(err error) error {
	if e, ok := errors.AsType[*driver.Error](err); ok && e.Code() == lib.SQLITE_ERROR {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// IsFull reports whether err says that the disk is full. A disk that fills up
// under fsync or under the truncation of a file is an I/O error to SQLite.
func IsFull(err error) bool {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	e, ok := errors.AsType[*driver.Error](err)
	return ok && e.Code()&0xff == lib.SQLITE_FULL
}

// IsIO reports whether the disk failed in a way that SQLite does not tell apart.
func IsIO(err error) bool {
	e, ok := errors.AsType[*driver.Error](err)
	return ok && e.Code()&0xff == lib.SQLITE_IOERR
}

// IsDamaged reports whether err means that the file itself is bad, so that
// opening it again would not help.
func IsDamaged(err error) bool {
	if errors.Is(err, ErrDamaged) {
		return true
	}
	e, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return false
	}
	switch e.Code() {
	case lib.SQLITE_IOERR_READ, lib.SQLITE_IOERR_SHORT_READ, lib.SQLITE_IOERR_CORRUPTFS:
		return true
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_FORMAT:
		return true
	}
	return false
}
