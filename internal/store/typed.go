package store

import (
	"context"

	"github.com/droverhq/drover/internal/resource"
)

// GetAs returns a document with its spec and status decoded.
func GetAs[S, T any](ctx context.Context, r Reader, kind, name string) (resource.Object[S, T], error) {
	d, err := r.Get(ctx, kind, name)
	if err != nil {
		return resource.Object[S, T]{}, err
	}
	return resource.From[S, T](d)
}

// ListAs returns documents with their specs and statuses decoded, and the revision of the list.
func ListAs[S, T any](ctx context.Context, r Reader, kind string, o ListOptions) ([]resource.Object[S, T], int64, error) {
	list, err := r.List(ctx, kind, o)
	if err != nil {
		return nil, 0, err
	}
	objects := make([]resource.Object[S, T], len(list.Items))
	for i, d := range list.Items {
		if objects[i], err = resource.From[S, T](d); err != nil {
			return nil, 0, err
		}
	}
	return objects, list.Revision, nil
}

// PutAs writes a decoded document; see Tx.Put.
func PutAs[S, T any](tx *Tx, o resource.Object[S, T], opts ...PutOption) (resource.Object[S, T], error) {
	d, err := o.Document()
	if err != nil {
		return o, err
	}
	if d, err = tx.Put(d, opts...); err != nil {
		return o, err
	}
	o.Meta = d.Meta
	return o, nil
}

// Edit reads a document, lets fn change it and writes it back: the way to change
// some fields and leave the others to whoever writes them.
func Edit[S, T any](tx *Tx, kind, name string, fn func(*resource.Object[S, T]) error) error {
	o, err := GetAs[S, T](context.Background(), tx.Reader(), kind, name)
	if err != nil {
		return err
	}
	if err := fn(&o); err != nil {
		return err
	}
	_, err = PutAs(tx, o)
	return err
}
