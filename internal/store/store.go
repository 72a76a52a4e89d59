package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store/sqlite"
)

// Options say where a store lives. Only Dir is required.
type Options struct {
	Dir              string
	Logger           *slog.Logger
	RingSize         int           // changes that watches can go back by; 8192
	SnapshotEvery    int           // changes; 1000
	SnapshotInterval time.Duration // 5 minutes
}

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.RingSize = cmp.Or(o.RingSize, 8192)
	o.SnapshotEvery = cmp.Or(o.SnapshotEvery, 1000)
	o.SnapshotInterval = cmp.Or(o.SnapshotInterval, 5*time.Minute)
	return o
}

// Store is documents with revisions. All methods may be called at the same time.
type Store struct {
	options  Options
	requests chan *request
	closed   chan struct{}
	close    func() error
	writer   sync.WaitGroup

	// The writer's own:

	file       *sqlite.File
	space      *space
	lastBooked map[string]int

	mu     sync.RWMutex // guards what is below; the writer alone changes memory, and reads it without
	memory *memory
	feed   *feed
}

// Open opens the store in o.Dir, making it if there is none, and starts its writer.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	path := filepath.Join(o.Dir, "documents.db")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := sqlite.Create(ctx, path, sqlite.Contents{}); err != nil {
			return nil, fmt.Errorf("open the store: %w", err)
		}
	}
	file, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	contents, err := file.Load(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store: %w", err), file.Close())
	}
	m, err := remember(contents)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the store: %w", err), file.Close())
	}
	s := &Store{
		options: o, requests: make(chan *request), closed: make(chan struct{}),
		file: file, space: &space{}, lastBooked: map[string]int{},
		memory: m, feed: newFeed(o.RingSize, m.revision),
	}
	s.close = sync.OnceValue(func() error {
		close(s.closed)
		s.writer.Wait()
		return s.file.Close()
	})
	s.writer.Go(s.write)
	return s, nil
}

// remember builds the memory from what a file holds.
func remember(c sqlite.Contents) (*memory, error) {
	m := newMemory(c.Revision)
	for _, r := range c.Documents {
		var d resource.Document
		if err := json.Unmarshal(r.Body, &d); err != nil {
			return nil, fmt.Errorf("decode %s %s: %w", r.Kind, r.Name, err)
		}
		m.put(newEntry(d))
	}
	for _, b := range c.Bookings {
		m.book(poolNumber{b.Pool, int(b.Number)}, b.Holder)
	}
	return m, nil
}

// Run takes snapshots and keeps the disk reserve until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.closed:
		return ErrClosed
	}
}

// Close ends the writer after the commit that it is at, and waits for it.
func (s *Store) Close() error { return s.close() }

// Revision is that of the last committed write.
func (s *Store) Revision() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.memory.revision
}

// Recovery says what Open set aside and what may be missing; nil: nothing.
func (s *Store) Recovery() *Recovery { return nil }

// Recovery is what a damaged database came to.
type Recovery struct{}

// persist writes the batch and publishes it.
func (s *Store) persist(b *batch) error {
	if b.writes.empty() {
		return nil
	}
	rows, err := encode(b)
	if err != nil {
		return err
	}
	if err := s.file.Commit(rows); err != nil {
		return fmt.Errorf("write to the store: %w", err)
	}
	s.publish(b)
	return nil
}

func encode(b *batch) (sqlite.Batch, error) {
	out := sqlite.Batch{Revision: b.revision}
	for k, e := range b.writes.docs {
		row := sqlite.Row{Kind: k.kind, Name: k.name}
		if e != nil {
			body, err := json.Marshal(e.doc)
			if err != nil {
				return out, fmt.Errorf("encode %s %s: %w", k.kind, k.name, err)
			}
			row.Revision, row.Body = e.doc.Revision, body
		}
		out.Documents = append(out.Documents, row)
	}
	for n, holder := range b.writes.holders {
		out.Bookings = append(out.Bookings, sqlite.Booking{Pool: n.pool, Number: int64(n.number), Holder: holder})
	}
	return out, nil
}

// publish shows the batch to readers and watches, all at once.
func (s *Store) publish(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, e := range b.writes.docs {
		if e == nil {
			s.memory.delete(k)
		} else {
			s.memory.put(e)
		}
	}
	for n, holder := range b.writes.holders {
		s.memory.book(n, holder)
	}
	for _, c := range b.changes {
		s.feed.publish(c)
	}
	s.memory.revision = b.revision
}
