package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Load reads everything, verifying each row.
func (f *File) Load(ctx context.Context) (Contents, error) {
	var c Contents
	err := errors.Join(f.loadDocuments(ctx, &c), f.loadBookings(ctx, &c), f.loadHead(ctx, &c))
	if err != nil {
		return Contents{}, fmt.Errorf("read %s: %w", f.path, foreign(err))
	}
	return c, nil
}

func (f *File) loadDocuments(ctx context.Context, c *Contents) error {
	rows, err := f.conn.QueryContext(ctx, `SELECT kind, name, revision, body, checksum FROM documents ORDER BY kind, name`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r Row
		var sum int64
		if err := rows.Scan(&r.Kind, &r.Name, &r.Revision, &r.Body, &sum); err != nil {
			return err
		}
		if sum != r.checksum() {
			c.Damaged = append(c.Damaged, Damaged{Kind: r.Kind, Name: r.Name, Revision: r.Revision, body: r.Body, checksum: sum})
			continue
		}
		c.Documents = append(c.Documents, r)
	}
	return rows.Err()
}

func (f *File) loadBookings(ctx context.Context, c *Contents) error {
	rows, err := f.conn.QueryContext(ctx, `SELECT pool, number, holder, checksum FROM bookings ORDER BY pool, number`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var b Booking
		var sum int64
		if err := rows.Scan(&b.Pool, &b.Number, &b.Holder, &sum); err != nil {
			return err
		}
		if sum != b.checksum() {
			c.Damaged = append(c.Damaged, Damaged{Booking: true, Name: b.Pool, Revision: b.Number, body: []byte(b.Holder), checksum: sum})
			continue
		}
		c.Bookings = append(c.Bookings, b)
	}
	return rows.Err()
}

func (f *File) loadHead(ctx context.Context, c *Contents) error {
	var copied, sum int64
	h := &c.Head
	err := f.conn.QueryRowContext(ctx, `SELECT revision, sequence, copied, checksum FROM head WHERE id = 1`).
		Scan(&h.Revision, &h.Sequence, &copied, &sum)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: the head revision is missing", ErrDamaged)
	}
	if err != nil {
		return err
	}
	h.Copied = copied != 0
	if sum != h.checksum() {
		return fmt.Errorf("%w: the checksum of the head revision is wrong", ErrDamaged)
	}
	for _, r := range c.Documents {
		h.Revision = max(h.Revision, r.Revision)
	}
	return nil
}

// Head reads where the file stands.
func (f *File) Head(ctx context.Context) (Head, error) {
	var c Contents
	err := f.loadHead(ctx, &c)
	return c.Head, err
}

// SetAside moves damaged rows out of the way, so that the next start does not
// find them again, and keeps them for whoever wants to look.
func (f *File) SetAside(ctx context.Context, damaged []Damaged, at time.Time) error {
	tx, err := f.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	for _, d := range damaged {
		if err := setAside(ctx, tx, d, at); err != nil {
			return fmt.Errorf("set aside %s: %w", d, err)
		}
	}
	return tx.Commit()
}

func setAside(ctx context.Context, tx *sql.Tx, d Damaged, at time.Time) error {
	remove, args := `DELETE FROM documents WHERE kind = $1 AND name = $2`, []any{d.Kind, d.Name}
	if d.Booking {
		remove, args = `DELETE FROM bookings WHERE pool = $1 AND number = $2`, []any{d.Name, d.Revision}
	}
	if _, err := tx.ExecContext(ctx, remove, args...); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO damaged (found, kind, name, revision, body, checksum) VALUES ($1, $2, $3, $4, $5, $6)`,
		at.UTC().Format(time.RFC3339), d.Kind, d.Name, d.Revision, string(d.body), d.checksum)
	return err
}
