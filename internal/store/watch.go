package store

import (
	"context"
	"slices"
)

// watchPage is how many changes Next returns at most.
const watchPage = 1000

// Filter says which changes a watch sees. The zero value sees all.
type Filter struct {
	Kinds []string // none: every kind
	Owner string   // as resource.OwnerOf gives it
	Name  string
}

// scopes are distinct and no change is filed under two of them, so that no change is seen twice.
func (f Filter) scopes() []scope {
	if len(f.Kinds) == 0 {
		return []scope{{owner: f.Owner}}
	}
	var s []scope
	for _, kind := range f.Kinds {
		if one := (scope{kind, f.Owner}); !slices.Contains(s, one) {
			s = append(s, one)
		}
	}
	return s
}

// Watch is the changes after one revision, in order, none left out and none twice.
// It is read by one goroutine at a time.
type Watch struct {
	store  *Store
	name   string
	scopes []scope
	wake   chan struct{} // holds one signal

	// Guarded by store.mu:

	position int // of the first change not yet looked at
	lost     bool
}

// Watch returns the changes after that revision. ErrTooOld: the ring no longer
// holds them all, or they never were in this store; list again and watch from
// the list's revision.
func (s *Store) Watch(ctx context.Context, after int64, f Filter) (*Watch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &Watch{store: s, name: f.Name, scopes: f.scopes(), wake: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	position, ok := s.feed.after(after, s.memory.revision)
	if !ok {
		return nil, detail(ErrTooOld, "revision %d of %d", after, s.memory.revision)
	}
	w.position = position
	s.feed.add(w)
	return w, nil
}

// Next returns the next changes, at least one, waiting for it as long as ctx allows.
// ErrTooOld: the watch was too slow and missed changes.
func (w *Watch) Next(ctx context.Context) ([]Change, error) {
	for {
		changes, err := w.take()
		if err != nil || len(changes) > 0 {
			return changes, err
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-w.store.closed:
			return nil, ErrClosed
		}
	}
}

// take returns what is there, with documents of their own for the caller.
func (w *Watch) take() ([]Change, error) {
	changes, err := w.advance()
	out := make([]Change, len(changes))
	for i, c := range changes {
		out[i] = c.export()
	}
	return out, err
}

func (w *Watch) advance() ([]change, error) {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	f := w.store.feed
	if w.lost {
		return nil, detail(ErrTooOld, "the watch fell behind revision %d", f.floor)
	}
	var changes []change
	positions := f.collect(w.scopes, w.position, watchPage)
	for _, p := range positions {
		if c := f.at(p); w.name == "" || c.doc.Name == w.name {
			changes = append(changes, *c)
		}
	}
	if len(positions) == watchPage {
		w.position = positions[watchPage-1] + 1
		w.notify() // there may be more, and all of this page may have had another name
	} else {
		w.position = f.next
	}
	return changes, nil
}

func (w *Watch) notify() {
	select {
	case w.wake <- struct{}{}:
	default: // it has a signal waiting
	}
}

// Close ends the watch. Closing it again does nothing.
func (w *Watch) Close() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.feed.remove(w)
}
