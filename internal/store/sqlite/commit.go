package sqlite

import (
	"context"
	"errors"
	"fmt"
)

// Commit writes the batch in one transaction. When it returns nil the batch is
// on disk; after an error the file must be closed and opened again, which tells
// whether the batch is in it.
func (f *File) Commit(b Batch) error {
	// A commit is never interrupted: whoever waits for it has been promised an answer.
	ctx := context.Background()
	if _, err := f.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f.write(ctx, b); err != nil {
		_, rollback := f.conn.ExecContext(ctx, "ROLLBACK")
		return errors.Join(err, rollback)
	}
	if _, err := f.conn.ExecContext(ctx, "COMMIT"); err != nil {
		_, rollback := f.conn.ExecContext(ctx, "ROLLBACK")
		return errors.Join(fmt.Errorf("commit: %w", err), rollback)
	}
	return nil
}

func (f *File) write(ctx context.Context, b Batch) error {
	for _, r := range b.Documents {
		if err := f.writeDocument(ctx, r); err != nil {
			return fmt.Errorf("write %s %s: %w", r.Kind, r.Name, err)
		}
	}
	for _, n := range b.Bookings {
		if err := f.writeBooking(ctx, n); err != nil {
			return fmt.Errorf("write booking %d of %s: %w", n.Number, n.Pool, err)
		}
	}
	return f.writeHead(ctx, b.Head)
}

func (f *File) writeDocument(ctx context.Context, r Row) error {
	if r.Body == nil {
		_, err := f.deleteDocument.ExecContext(ctx, r.Kind, r.Name)
		return err
	}
	_, err := f.putDocument.ExecContext(ctx, r.Kind, r.Name, r.Revision, string(r.Body), r.checksum())
	return err
}

func (f *File) writeBooking(ctx context.Context, b Booking) error {
	if b.Holder == "" {
		_, err := f.deleteBooking.ExecContext(ctx, b.Pool, b.Number)
		return err
	}
	_, err := f.putBooking.ExecContext(ctx, b.Pool, b.Number, b.Holder, b.checksum())
	return err
}

func (f *File) writeHead(ctx context.Context, h Head) error {
	if _, err := f.putHead.ExecContext(ctx, h.Revision, h.Sequence, asInt(h.Copied), h.checksum()); err != nil {
		return fmt.Errorf("write the head revision: %w", err)
	}
	return nil
}

// asInt writes a truth as SQLite and PostgreSQL both keep it.
func asInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
