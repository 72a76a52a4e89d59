package api

import (
	"context"
	"encoding/json"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// scaleSetWriter adds to the rules of scale sets what only the API knows: who writes,
// and where its own listener is.
type scaleSetWriter struct {
	Writer
	previews
}

func (w scaleSetWriter) Put(tx *store.Tx, old *resource.Document, d resource.Document, r PutRequest) (PutResult, error) {
	had := ""
	if old != nil {
		had = imageOf(*old)
	}
	if err := mayRun(r.By, d.Name, had, imageOf(d)); err != nil {
		return PutResult{}, err
	}
	return w.Writer.Put(tx, old, d, r)
}

func imageOf(set resource.Document) string {
	var spec struct{ Image string }
	_ = json.Unmarshal(set.Spec, &spec) // one that cannot be read has no image that anybody allowed
	return spec.Image
}

// mayStart is mayRun for a rollout of a set that is there. If it is not, or no image
// is given, there is nothing to refuse.
func (s *Server) mayStart(ctx context.Context, set, image string) error {
	stored, err := s.Store.Get(ctx, resource.KindScaleSet, set)
	if image == "" || err != nil {
		return nil
	}
	return mayRun(callOf(ctx).who, set, imageOf(stored), image)
}

// mayRun refuses to give a set another image than the one whose versions it runs, if
// the caller may not read that image: a program of it, with a command of the caller's
// choice, would tell all that is in it.
func mayRun(who Principal, set, had, wanted string) error {
	have, haveErr := resource.ParseImageRef(had)
	want, err := resource.ParseImageRef(wanted)
	if err != nil || haveErr == nil && have.Name == want.Name || who.May(VerbRead, resource.KindImage, want.Name, "") {
		return nil
	}
	return &resource.Error{
		Code: resource.CodeForbidden, Detail: "scale set " + set + " cannot be given that image",
		Fields: []resource.FieldError{{Pointer: "/spec/image", Detail: "the token's scopes do not cover image/" + want.Name + ", which the set does not run"}},
	}
}
