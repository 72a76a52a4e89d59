package sqlite

import (
	"context"
	"fmt"
)

// Commit writes the batch in one transaction. When it returns nil the batch is
// on disk; after an error the file must be closed and opened again, and Head then
// tells whether the batch is in it.
func (f *File) Commit(b Batch) error {
	// A commit is never interrupted: whoever waits for it has been promised an answer.
	ctx := context.Background()
	return f.transact(ctx, func() error { return f.write(ctx, b) })
}

// transact runs fn in a transaction. What fn made of head and total holds only
// when that was committed.
func (f *File) transact(ctx context.Context, fn func() error) error {
	head, total := f.head, f.total
	err := f.exec(ctx, "BEGIN IMMEDIATE")
	if err == nil {
		if err = fn(); err == nil {
			err = f.exec(ctx, "COMMIT")
		}
	}
	if err != nil {
		f.head, f.total = head, total
		// It fails when there is no transaction any more, which is what it is for.
		_, _ = f.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	}
	return err
}

func (f *File) exec(ctx context.Context, sql string) error {
	if _, err := f.conn.ExecContext(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
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
	f.total += b.gain()
	return f.writeHead(ctx, b.Head)
}

func (f *File) writeDocument(ctx context.Context, r Row) error {
	if r.Body == nil {
		_, err := f.deleteDocument.ExecContext(ctx, r.Kind, r.Name)
		return err
	}
	_, err := f.putDocument.ExecContext(ctx, r.Kind, r.Name, r.Revision, string(r.Body), r.Checksum())
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
	if _, err := f.putHead.ExecContext(ctx, h.Revision, h.Sequence, asInt(h.Copied), f.total, h.checksum(f.total)); err != nil {
		return fmt.Errorf("write the head: %w", err)
	}
	f.head = h
	return nil
}

// asInt writes a truth as SQLite and PostgreSQL both keep it.
func asInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
