package api

import (
	"context"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// putFunc is a Writer that is only a function.
type putFunc func(tx *store.Tx, old *resource.Document, d resource.Document, r PutRequest) (PutResult, error)

func (f putFunc) Put(tx *store.Tx, old *resource.Document, d resource.Document, r PutRequest) (PutResult, error) {
	return f(tx, old, d, r)
}

// checker is a Writer that also looks at other documents, after all of the request were put.
type checker interface {
	check(tx *store.Tx, d resource.Document) (warnings []string, err error)
}

// deleteFunc is a Deleter that is only a function.
type deleteFunc func(ctx context.Context, d resource.Document, r DeleteRequest) (bool, error)

func (f deleteFunc) Delete(ctx context.Context, d resource.Document, r DeleteRequest) (bool, error) {
	return f(ctx, d, r)
}

// putNote is what the reference says about writing that kind.
func putNote(kind string) string {
	switch kind {
	case resource.KindToken:
		return "Always refused: a token is made with POST, which answers its secret."
	case resource.KindImageVersion:
		return "Only of one that exists: pushing an image makes it."
	}
	for _, k := range resource.Kinds {
		if k.Name == kind && k.ReadOnly != "" {
			return "Always refused: " + k.ReadOnly + "."
		}
	}
	return ""
}

// allWriters are the given writers, and simple ones for the other kinds.
func (s *Server) allWriters() map[string]Writer {
	w := map[string]Writer{}
	for _, k := range resource.Kinds {
		w[k.Name] = refusePut(k.Name)
	}
	w[resource.KindImage] = putFunc(putPlain)
	w[resource.KindImageVersion] = putFunc(putVersion)
	w[resource.KindLoadBalancer] = balancers{s.Address}
	for kind, given := range s.Writers {
		w[kind] = given
	}
	w[resource.KindScaleSet] = scaleSetWriter{w[resource.KindScaleSet], previews{s.Address}}
	return w
}

func (s *Server) allDeleters() map[string]Deleter {
	d := map[string]Deleter{}
	for _, k := range resource.Kinds {
		d[k.Name] = refuseDelete(k.Name)
	}
	d[resource.KindLoadBalancer] = deleteFunc(s.deletePlain)
	d[resource.KindImage] = deleteFunc(s.deleteImage)
	d[resource.KindToken] = deleteFunc(func(ctx context.Context, t resource.Document, _ DeleteRequest) (bool, error) {
		return true, s.Tokens.Revoke(ctx, t.Name)
	})
	for kind, given := range s.Deleters {
		d[kind] = given
	}
	return d
}

func refusePut(kind string) Writer {
	return putFunc(func(*store.Tx, *resource.Document, resource.Document, PutRequest) (PutResult, error) {
		how := "it is not written by hand"
		if kind == resource.KindToken {
			how = "make one with `drover token create`, which prints its secret"
		}
		return PutResult{}, resource.Errorf(resource.CodeInvalid, "a %s cannot be put: %s", kind, how)
	})
}

func refuseDelete(kind string) Deleter {
	return deleteFunc(func(_ context.Context, d resource.Document, _ DeleteRequest) (bool, error) {
		return false, resource.Errorf(resource.CodeInvalid, "%s %s cannot be deleted: it goes with what made it", kind, d.Name)
	})
}

func putPlain(tx *store.Tx, _ *resource.Document, d resource.Document, _ PutRequest) (PutResult, error) {
	stored, err := tx.Put(d)
	return PutResult{Document: stored}, err
}

// putVersion changes what may be changed of a version: its spec. Its content never changes.
func putVersion(tx *store.Tx, old *resource.Document, d resource.Document, r PutRequest) (PutResult, error) {
	if old == nil {
		return PutResult{}, resource.Errorf(resource.CodeNotFound, "image version %s does not exist: `drover image push` makes it", d.Name)
	}
	return putPlain(tx, old, d, r)
}
