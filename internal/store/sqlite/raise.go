package sqlite

import (
	"context"
	"fmt"
	"time"
)

// Raise lets the file go on from another head, without the rows that Load found
// damaged: they are kept in a table of their own for whoever wants to look.
func (f *File) Raise(ctx context.Context, h Head, damaged []Damaged, at time.Time) error {
	return f.transact(ctx, func() error {
		for _, d := range damaged {
			if err := f.setAside(ctx, d, at); err != nil {
				return fmt.Errorf("set aside %s: %w", d, err)
			}
		}
		return f.writeHead(ctx, h)
	})
}

func (f *File) setAside(ctx context.Context, d Damaged, at time.Time) error {
	remove, args := `DELETE FROM documents WHERE kind = $1 AND name = $2`, []any{d.Kind, d.Name}
	if d.Booking {
		remove, args = `DELETE FROM bookings WHERE pool = $1 AND number = $2`, []any{d.Name, d.Revision}
	}
	if _, err := f.conn.ExecContext(ctx, remove, args...); err != nil {
		return err
	}
	_, err := f.conn.ExecContext(ctx, `INSERT INTO damaged (found, kind, name, revision, body, checksum) VALUES ($1, $2, $3, $4, $5, $6)`,
		at.UTC().Format(time.RFC3339), d.Kind, d.Name, d.Revision, string(d.body), d.checksum)
	return err
}
