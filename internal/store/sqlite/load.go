package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Load reads everything, verifying each row by itself and all together.
func (f *File) Load(ctx context.Context) (Contents, error) {
	c := Contents{Head: f.head}
	err := f.loadDocuments(ctx, &c)
	if err == nil {
		err = f.loadBookings(ctx, &c)
	}
	if err != nil {
		return Contents{}, fmt.Errorf("read %s: %w", f.path, foreign(err))
	}
	total := Batch{Documents: c.Documents, Bookings: c.Bookings}.gain()
	if total != f.total && len(c.Damaged) == 0 {
		return Contents{}, fmt.Errorf("read %s: %w: rows are missing or old", f.path, ErrDamaged)
	}
	f.total = total
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
		if sum != r.Checksum() {
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

func (f *File) readHead(ctx context.Context) error {
	var h Head
	var copied, total, sum int64
	err := f.conn.QueryRowContext(ctx, `SELECT revision, sequence, copied, total, checksum FROM head WHERE id = 1`).
		Scan(&h.Revision, &h.Sequence, &copied, &total, &sum)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: the head is missing", ErrDamaged)
	}
	if err != nil {
		return fmt.Errorf("read the head: %w", foreign(err))
	}
	if h.Copied = copied != 0; sum != h.checksum(total) {
		return fmt.Errorf("%w: the checksum of the head is wrong", ErrDamaged)
	}
	f.head, f.total = h, total
	return nil
}

// Head is where the file stands.
func (f *File) Head() Head { return f.head }
