package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

type deleteInput struct {
	Name    string `path:"name" doc:"The document's name; a / in it is written %2F."`
	IfMatch string `header:"If-Match" maxLength:"40" doc:"Only at this revision, else 412."`
}

type deleteOutput struct {
	Status int
	Body   resource.Document
}

func (s *Server) routeDelete(k resource.Kind, path string, schema *huma.Schema) {
	op := huma.Operation{
		OperationID: "delete" + k.Name, Method: http.MethodDelete, Path: path, Tags: []string{k.Name},
		Summary:   "Delete one " + k.Name,
		Responses: answers("200", "It is gone; its last content.", schema), Errors: []int{404, 409, 412, 507},
	}
	op.Responses["202"] = &huma.Response{
		Description: "It is on its way out (a set drains first); a watch tells when it is gone.",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: schema}},
	}
	register(s, op, func(ctx context.Context, in *deleteInput) (*deleteOutput, error) {
		return s.delete(ctx, k.Name, in)
	})
}

func (s *Server) delete(ctx context.Context, kind string, in *deleteInput) (*deleteOutput, error) {
	if err := may(ctx, VerbWrite, kind, in.Name); err != nil {
		return nil, err
	}
	m, err := parseMatch(in.IfMatch, "")
	if err != nil {
		return nil, err
	}
	d, err := s.Store.Get(ctx, kind, in.Name)
	if err != nil {
		return nil, err
	}
	if err := m.check(kind, in.Name, &d); err != nil {
		return nil, err
	}
	done, err := s.deleters[kind].Delete(store.Essential(ctx), d, DeleteRequest{Revision: m.revision, By: callOf(ctx).who})
	if err != nil {
		return nil, err
	}
	out := &deleteOutput{Status: http.StatusOK, Body: visible(d)}
	if !done {
		out.Status = http.StatusAccepted
	}
	return out, nil
}

// deletePlain deletes a document that nothing else has to happen for.
func (s *Server) deletePlain(ctx context.Context, d resource.Document, r DeleteRequest) (bool, error) {
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		return tx.Delete(d.Kind, d.Name, ifRevision(r.Revision)...)
	})
	return true, err
}

func ifRevision(n int64) []store.PutOption {
	if n == 0 {
		return nil
	}
	return []store.PutOption{store.IfRevision(n)}
}

// deleteImage only deletes a name that holds no version any more.
func (s *Server) deleteImage(ctx context.Context, d resource.Document, r DeleteRequest) (bool, error) {
	_, err := s.Store.Update(ctx, func(tx *store.Tx) error {
		versions, err := tx.List(resource.KindImageVersion, store.ListOptions{Owner: d.Name, Limit: 1})
		if err != nil {
			return err
		}
		if len(versions.Items) > 0 {
			return resource.Errorf(resource.CodeInUse, "image %s has versions, %s among them: delete those first", d.Name, versions.Items[0].Name)
		}
		return tx.Delete(d.Kind, d.Name, ifRevision(r.Revision)...)
	})
	return true, err
}
