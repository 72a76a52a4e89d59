package control

import (
	"context"
	"errors"
	"sync"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// documents are those that a snapshot is made of.
type documents struct {
	// revision is the store's last change that they take into account.
	revision  int64
	sets      map[string]resource.ScaleSet
	instances map[string]resource.Instance
	balancers map[string]resource.LoadBalancer
}

// view keeps the documents as the store has them. It follows every kind, not
// only its own: a revision counts as seen also when it changed nothing here.
type view struct {
	changed chan struct{} // holds one signal

	mu   sync.Mutex
	docs documents
	seen bool // docs were read
}

func newView() *view { return &view{changed: make(chan struct{}, 1)} }

// follow keeps the view until ctx ends.
func (v *view) follow(ctx context.Context, s *store.Store) error {
	for {
		err := v.fill(ctx, s)
		if !errors.Is(err, store.ErrTooOld) {
			return err
		}
	}
}

func (v *view) fill(ctx context.Context, s *store.Store) error {
	after := s.Revision()
	w, err := s.Watch(ctx, after, store.Filter{})
	if err != nil {
		return err
	}
	defer w.Close()
	docs, err := read(ctx, s)
	if err != nil {
		return err
	}
	// What was listed may be newer: claiming less is always right.
	docs.revision = after
	v.mu.Lock()
	v.docs, v.seen = docs, true
	v.mu.Unlock()
	signal(v.changed)
	for {
		changes, err := w.Next(ctx)
		if err != nil {
			return err
		}
		if err := v.take(changes); err != nil {
			return err
		}
		signal(v.changed)
	}
}

func read(ctx context.Context, s *store.Store) (documents, error) {
	d := documents{
		sets:      map[string]resource.ScaleSet{},
		instances: map[string]resource.Instance{},
		balancers: map[string]resource.LoadBalancer{},
	}
	for _, kind := range []string{resource.KindScaleSet, resource.KindInstance, resource.KindLoadBalancer} {
		list, err := s.List(ctx, kind, store.ListOptions{})
		if err != nil {
			return d, err
		}
		for _, item := range list.Items {
			if err := d.put(item); err != nil {
				return d, err
			}
		}
	}
	return d, nil
}

func (v *view) take(changes []store.Change) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range changes {
		v.docs.revision = c.Revision
		if c.Deleted {
			v.docs.delete(c.Document.Kind, c.Document.Name, c.Revision)
			continue
		}
		if err := v.docs.put(c.Document); err != nil {
			return err
		}
	}
	return nil
}

// put takes a document in, unless a later one is there already.
func (d *documents) put(doc resource.Document) (err error) {
	switch doc.Kind {
	case resource.KindScaleSet:
		err = putIn(d.sets, doc)
	case resource.KindInstance:
		err = putIn(d.instances, doc)
	case resource.KindLoadBalancer:
		err = putIn(d.balancers, doc)
	}
	return err
}

func putIn[S, T any](m map[string]resource.Object[S, T], doc resource.Document) error {
	if m[doc.Name].Revision >= doc.Revision {
		return nil
	}
	o, err := resource.From[S, T](doc)
	if err != nil {
		return err
	}
	m[doc.Name] = o
	return nil
}

func (d *documents) delete(kind, name string, revision int64) {
	switch kind {
	case resource.KindScaleSet:
		deleteFrom(d.sets, name, revision)
	case resource.KindInstance:
		deleteFrom(d.instances, name, revision)
	case resource.KindLoadBalancer:
		deleteFrom(d.balancers, name, revision)
	}
}

func deleteFrom[S, T any](m map[string]resource.Object[S, T], name string, revision int64) {
	if m[name].Revision < revision {
		delete(m, name)
	}
}

// with calls f with the documents, which it must not keep; false: not read yet.
func (v *view) with(f func(documents)) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen {
		f(v.docs)
	}
	return v.seen
}
