package store

import (
	"context"
	"slices"

	"github.com/droverhq/drover/internal/resource"
)

// ListOptions narrow a list. The zero value lists a whole kind.
type ListOptions struct {
	Owner  string            // as resource.OwnerOf gives it: a scale set's or image's name
	Labels map[string]string // all of them
	Limit  int               // 0: no limit
	// Continue is List.Continue of the page before.
	Continue string
}

// List is documents in the order of their names. A watch from Revision goes on
// where it ends; of a list in pages, from the first page's.
type List struct {
	Items    []resource.Document
	Revision int64
	Continue string // empty: that is all
}

// Reader reads documents: a Store, or a transaction through Tx.Reader.
type Reader interface {
	Get(ctx context.Context, kind, name string) (resource.Document, error)
	List(ctx context.Context, kind string, o ListOptions) (List, error)
}

// Get returns the document as last committed.
func (s *Store) Get(ctx context.Context, kind, name string) (resource.Document, error) {
	if err := ctx.Err(); err != nil {
		return resource.Document{}, err
	}
	s.mu.RLock()
	e := s.memory.get(key{kind, name})
	s.mu.RUnlock()
	if e == nil {
		return resource.Document{}, detail(ErrNotFound, "%s %s", kind, name)
	}
	return e.copyOf(), nil
}

// List returns a kind's documents as of one revision.
func (s *Store) List(ctx context.Context, kind string, o ListOptions) (List, error) {
	if err := ctx.Err(); err != nil {
		return List{}, err
	}
	s.mu.RLock()
	revision := s.memory.revision
	entries := slices.Clone(s.memory.list(scope{kind, o.Owner}))
	s.mu.RUnlock()
	return page(entries, revision, o), nil
}

// page picks from entries, which are sorted by name, what o asks for.
func page(entries []*entry, revision int64, o ListOptions) List {
	list := List{Items: []resource.Document{}, Revision: revision}
	start, found := slices.BinarySearchFunc(entries, o.Continue, compareName)
	if found {
		start++
	}
	for _, e := range entries[start:] {
		if !hasLabels(e.doc.Labels, o.Labels) {
			continue
		}
		if o.Limit > 0 && len(list.Items) == o.Limit {
			list.Continue = list.Items[o.Limit-1].Name
			break
		}
		list.Items = append(list.Items, e.copyOf())
	}
	return list
}

func hasLabels(have, want map[string]string) bool {
	for k, v := range want {
		if got, ok := have[k]; !ok || got != v {
			return false
		}
	}
	return true
}
