package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/internal/store/sqlite"
)

// commit makes the batch durable. After an error, written says whether readers
// must see it all the same: it was found in the database, though not surely on
// the disk below. The database is then as it was, or as it is to be, and goes on
// being usable as soon as the disk is.
func (d *disk) commit(b sqlite.Batch, essential bool, contents func() (sqlite.Contents, error)) (written bool, err error) {
	b.Head.Sequence = d.head.Sequence + 1
	if err = d.attempt(b); err == nil {
		return true, nil
	}
	d.log.Error("write to the database", "err", err)
	full := d.full(err)
	if written, again := d.reset(b.Head, contents); written || again != nil {
		return written, failed(err, again)
	}
	if full && (!essential || !d.space.give()) {
		return false, detail(ErrNoSpace, "write to the database")
	}
	if !full && !sqlite.IsDamaged(err) {
		return false, failed(err)
	}
	// The reserve was given for this, or the damaged file was replaced: once more.
	if err = d.attempt(b); err == nil {
		return true, nil
	}
	if d.full(err) {
		err = detail(ErrNoSpace, "write to the database")
	}
	written, again := d.reset(b.Head, contents)
	return written, failed(err, again)
}

// failed says to callers that it is the disk, unless that is full.
func failed(errs ...error) error {
	err := errors.Join(errs...)
	if err == nil || errors.Is(err, ErrNoSpace) {
		return err
	}
	return errors.Join(ErrDisk, err)
}

func (d *disk) attempt(b sqlite.Batch) error {
	if d.file == nil {
		return errors.New("the database is not open")
	}
	if err := d.file.Commit(b); err != nil {
		return err
	}
	d.acknowledge(b.Head)
	return nil
}

// acknowledge lets the witness know before anybody else does.
func (d *disk) acknowledge(h sqlite.Head) {
	d.head = h
	if err := d.witness.write(h); err != nil {
		d.log.Warn("write the witness", "err", err)
	}
}

// reset opens the database again after a failed commit and asks it whether that
// commit is in it. One that turns out to be damaged is replaced by what memory
// holds, which is all that was ever acknowledged.
func (d *disk) reset(want sqlite.Head, contents func() (sqlite.Contents, error)) (written bool, err error) {
	ctx := context.Background() // nobody may be left with half an answer
	if err := d.closeFile(); err != nil {
		d.log.Warn("close the database after a failure", "err", err)
	}
	d.file, err = d.openFile(ctx)
	if sqlite.IsDamaged(err) {
		d.file, err = d.rebuild(ctx, contents)
	}
	if err != nil {
		return false, fmt.Errorf("open the database after a failure: %w", err)
	}
	if d.file.Head() != want {
		return false, nil
	}
	d.acknowledge(want)
	return true, nil
}

// rebuild replaces a database that was damaged while it was in use. A crash
// between its two steps leaves none, and the next start falls back on a snapshot.
func (d *disk) rebuild(ctx context.Context, contents func() (sqlite.Contents, error)) (*sqlite.File, error) {
	c, err := contents()
	if err != nil {
		return nil, err
	}
	moved, err := moveAside(d.database(), d.damaged(), time.Now())
	if err != nil {
		return nil, err
	}
	d.log.Error("the database was damaged while in use and is made again from memory; nothing is lost", "setAside", moved)
	if err := sqlite.Create(ctx, d.database(), c); err != nil {
		return nil, err
	}
	return d.openFile(ctx)
}
