package store

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// maxBatch is how many updates share one commit at most.
const maxBatch = 512

type essentialKey struct{}

// Essential marks the updates made with the context as ones that free resources
// or finish what runs (deletions, scale-in, cancel, rollback, a running rollout's
// steps, an instance's status): they may use the disk reserve.
func Essential(ctx context.Context) context.Context {
	return context.WithValue(ctx, essentialKey{}, true)
}

// request is an Update that waits for the writer.
type request struct {
	fn        func(*Tx) error
	essential bool

	done     chan struct{} // closed when the rest is set
	revision int64
	err      error
}

// batch is the updates that share one commit.
type batch struct {
	memory     *memory // what is committed
	lastBooked map[string]int
	writes     *layer
	changes    []change
	revision   int64 // the last one given out
	essential  bool
	requests   []*request
}

func (b *batch) next() int64 {
	b.revision++
	return b.revision
}

// Update runs fn in a write transaction and returns when what it wrote is on
// disk, with the revision of its last write, or the current one if it wrote
// nothing. Many updates share one commit; when fn fails or panics only its own
// writes are dropped. fn runs once at most, must be fast, and must not wait for
// another Update. While the writer has not taken it up, ctx ends the wait; after
// that the answer is that of the commit.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r := &request{fn: fn, essential: ctx.Value(essentialKey{}) != nil, done: make(chan struct{})}
	select {
	case s.requests <- r:
		<-r.done
		return r.revision, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.closed:
		return 0, ErrClosed
	}
}

// write is the writer: the one goroutine that decides, commits and publishes.
func (s *Store) write() {
	for {
		select {
		case r := <-s.requests:
			s.commit(s.gather(r))
		case <-s.closed:
			return
		}
	}
}

// gather returns the request with all that wait behind it.
func (s *Store) gather(first *request) []*request {
	requests := []*request{first}
	for len(requests) < maxBatch {
		select {
		case r := <-s.requests:
			requests = append(requests, r)
		default:
			return requests
		}
	}
	return requests
}

// commit decides all requests, writes what they decided in one transaction,
// publishes it, and only then answers.
func (s *Store) commit(requests []*request) {
	b := &batch{memory: s.memory, lastBooked: s.lastBooked, writes: newLayer(), revision: s.memory.revision}
	for _, r := range requests {
		b.essential = b.essential || r.essential
	}
	refused := s.disk.space.admit(b.essential)
	now := time.Now().UTC()
	for _, r := range requests {
		if refused != nil && !r.essential {
			r.err = refused
			continue
		}
		b.run(r, now)
	}
	if err := s.persist(b); err != nil {
		for _, r := range b.requests {
			r.revision, r.err = 0, err
		}
	}
	for _, r := range requests {
		close(r.done)
	}
}

// persist makes the batch durable and publishes it.
func (s *Store) persist(b *batch) error {
	if b.writes.empty() {
		return nil
	}
	rows, err := b.encode()
	if err != nil {
		return err
	}
	written, err := s.disk.commit(rows, b.essential, s.contents)
	if written {
		s.publish(b)
	}
	return err
}

// publish shows the batch to readers and watches, all at once.
func (s *Store) publish(b *batch) {
	s.mu.Lock()
	s.memory.apply(b.writes)
	s.memory.revision, s.memory.sequence = b.revision, s.disk.head.Sequence
	for _, c := range b.changes {
		s.feed.publish(c)
	}
	s.mu.Unlock()

	changes := int64(max(1, len(b.changes))) // bookings alone count as one
	enough := int64(s.options.SnapshotEvery)
	if after := s.unsaved.Add(changes); after >= enough && after-changes < enough {
		select {
		case s.enough <- struct{}{}:
		default: // it has a signal waiting
		}
	}
}

// run decides one request on top of those before it.
func (b *batch) run(r *request, now time.Time) {
	tx := &Tx{now: now, below: b, writes: newLayer()}
	before := b.revision
	if r.err = tx.call(r.fn); r.err != nil {
		b.revision = before
		return
	}
	b.writes.merge(tx.writes)
	b.changes = append(b.changes, tx.changes...)
	b.requests = append(b.requests, r)
	r.revision = b.revision
}

// call runs fn on a goroutine of its own, so that neither a panic nor a
// runtime.Goexit in it (a test's FailNow) can take the writer along.
func (tx *Tx) call(fn func(*Tx) error) (err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			tx.done = true
			if p := recover(); p != nil {
				err = fmt.Errorf("panic in an update: %v\n%s", p, debug.Stack())
			}
		}()
		err = errExited
		err = fn(tx)
	}()
	<-ended
	return err
}
