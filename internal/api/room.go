package api

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// room lets a write use the disk's reserve when all it does is to scale sets in:
// what makes room is done also when there is none.
func (s *Server) room(ctx context.Context, documents ...resource.Document) context.Context {
	for _, d := range documents {
		old, err := s.Store.Get(ctx, d.Kind, d.Name)
		if err != nil || !scalesIn(old, d) {
			return ctx
		}
	}
	return store.Essential(ctx)
}

// scalesIn says whether d differs from old in nothing but a lower capacity, if in that.
func scalesIn(old, d resource.Document) bool {
	if d.Kind != resource.KindScaleSet {
		return bytes.Equal(old.Spec, d.Spec)
	}
	var was, now resource.ScaleSetSpec
	if json.Unmarshal(old.Spec, &was) != nil || json.Unmarshal(d.Spec, &now) != nil || now.Capacity > was.Capacity {
		return false
	}
	now.Capacity = was.Capacity
	a, err1 := json.Marshal(was)
	b, err2 := json.Marshal(now)
	return err1 == nil && err2 == nil && bytes.Equal(a, b)
}
