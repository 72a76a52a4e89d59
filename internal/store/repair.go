package store

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/internal/store/sqlite"
)

// revisionMargin is how far revisions jump when it cannot be known which the
// last one given out was, so that none is ever given out twice.
const revisionMargin = 1_000_000

// examine looks for damage that leaves a database readable: single rows with a
// wrong checksum, and a state that is older than what was acknowledged.
func (d *disk) examine(ctx context.Context, c sqlite.Contents) (sqlite.Contents, error) {
	list, err := listSnapshots(d.snapshots())
	if err != nil {
		return c, err
	}
	if len(list) > 0 && list[0].revision > c.Head.Revision {
		if s, _, err := firstReadable(ctx, list); err == nil && s.revision > c.Head.Revision {
			return d.fallBack(ctx, fmt.Sprintf("the database is at revision %d, older than its snapshot", c.Head.Revision))
		}
	}
	r := &Recovery{At: time.Now().UTC(), MissingAfter: c.Head.Revision, LastKnown: lastKnown(c.Head.Revision, d.seen.Revision, list)}
	if r.LastKnown > c.Head.Revision || d.seen.Sequence > c.Head.Sequence {
		r.Reason = "the database has lost the end of its log: it is older than what was acknowledged"
		if r.SetAside, err = keepLog(d.database(), d.damaged(), r.At); err != nil {
			return c, err
		}
	}
	if len(c.Damaged) > 0 {
		r.Reason = join(r.Reason, "single rows have a wrong checksum")
		for _, row := range c.Damaged {
			r.Rows = append(r.Rows, row.String())
		}
	}
	if r.Reason == "" && !c.Head.Copied && !d.blind {
		return c, nil
	}
	return d.raise(ctx, c, r)
}

// raise lets a database go on above all revisions that can have been given out,
// without the rows that are damaged.
func (d *disk) raise(ctx context.Context, c sqlite.Contents, r *Recovery) (sqlite.Contents, error) {
	r.Revision = r.LastKnown + revisionMargin
	if r.Reason == "" { // it is a restored backup, or without a witness: no damage
		d.log.Warn("the database may be an older copy: revisions go on higher up", "from", c.Head.Revision, "to", r.Revision)
	} else if err := d.tell(r); err != nil {
		return c, err
	}
	h := sqlite.Head{Revision: r.Revision, Sequence: max(d.seen.Sequence, c.Head.Sequence) + 1}
	if err := d.file.Raise(ctx, h, c.Damaged, r.At); err != nil {
		return c, fmt.Errorf("repair the database: %w", err)
	}
	c.Head, c.Damaged = h, nil
	return c, nil
}

// fallBack sets the database aside and puts the newest readable snapshot in its
// place, or an empty database if there is none. After a crash at any point the
// next start does it again from what is there then.
func (d *disk) fallBack(ctx context.Context, reason string) (sqlite.Contents, error) {
	list, err := listSnapshots(d.snapshots())
	if err != nil {
		return sqlite.Contents{}, err
	}
	r := &Recovery{At: time.Now().UTC(), Reason: reason}
	r.LastKnown = lastKnown(sqlite.Salvage(ctx, d.database()), d.seen.Revision, list)
	// What the damaged file could still tell must not be lost with its name.
	d.seen.Revision = r.LastKnown
	if err := d.witness.sync(d.seen); err != nil {
		return sqlite.Contents{}, err
	}
	if err := d.closeFile(); err != nil {
		d.log.Warn("close the damaged database", "err", err)
	}
	if r.SetAside, err = moveAside(d.database(), d.damaged(), r.At); err != nil {
		return sqlite.Contents{}, err
	}
	c, err := d.newestReadable(ctx, list, r)
	if err != nil {
		return c, err
	}
	r.MissingAfter, r.Revision = c.Head.Revision, r.LastKnown+revisionMargin
	if err := d.tell(r); err != nil {
		return c, err
	}
	c.Head = sqlite.Head{Revision: r.Revision, Sequence: max(d.seen.Sequence, c.Head.Sequence) + 1}
	return d.install(ctx, c)
}

// newestReadable returns what the newest readable snapshot holds, setting aside
// those that are not.
func (d *disk) newestReadable(ctx context.Context, list []snapshot, r *Recovery) (sqlite.Contents, error) {
	for _, s := range list {
		c, err := sqlite.Read(ctx, s.path)
		if err == nil {
			r.Snapshot, r.SnapshotRevision, r.SnapshotTime = s.path, s.revision, s.at
			return c, nil
		}
		if !sqlite.IsDamaged(err) {
			return c, err // the snapshot may be good: nothing is known of it
		}
		r.Reason = join(r.Reason, err.Error())
		moved, err := moveAside(s.path, d.damaged(), r.At)
		if err != nil {
			return sqlite.Contents{}, err
		}
		r.SetAside = append(r.SetAside, moved...)
	}
	return sqlite.Contents{}, nil
}

// firstReadable returns the newest snapshot that can be read.
func firstReadable(ctx context.Context, list []snapshot) (s snapshot, c sqlite.Contents, err error) {
	for _, s = range list {
		if c, err = sqlite.Read(ctx, s.path); err == nil {
			break
		}
	}
	return s, c, err
}

// tell makes the report durable before anything is done that it reports.
func (d *disk) tell(r *Recovery) error {
	d.log.Error("the store was damaged", "report", r.String(), "file", d.report())
	d.recovery = r
	return writeRecovery(d.report(), r)
}

func lastKnown(here, seen int64, newestFirst []snapshot) int64 {
	n := max(here, seen)
	if len(newestFirst) > 0 {
		n = max(n, newestFirst[0].revision)
	}
	return n
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
