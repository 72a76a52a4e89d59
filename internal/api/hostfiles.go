package api

import (
	"context"
	"errors"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// checkHostFiles refuses a document that names a file of the machine which its writer
// may not name, or which cannot be used. What the stored document names already was
// allowed then, and is the gateway's to complain about. It is done before the
// transaction, as file systems may take their time.
func (s *Server) checkHostFiles(ctx context.Context, d resource.Document) error {
	files := resource.HostFiles(d)
	if len(files) == 0 {
		return nil
	}
	old, err := s.Store.Get(ctx, d.Kind, d.Name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	known := map[string]bool{}
	for _, f := range resource.HostFiles(old) {
		known[f.Path] = true
	}
	for _, f := range files {
		if known[f.Path] {
			continue
		}
		if code, err := s.checkHostFile(ctx, f); err != nil {
			return &resource.Error{
				Code: code, Detail: d.Kind + " " + d.Name + " names a file that cannot be used",
				Fields: []resource.FieldError{{Pointer: f.Pointer, Detail: err.Error()}},
			}
		}
	}
	return nil
}

func (s *Server) checkHostFile(ctx context.Context, f resource.HostFile) (resource.Code, error) {
	if s.HostFiles == nil {
		return resource.CodeInvalid, errors.New("documents cannot name files on this server")
	}
	owner := callOf(ctx).who.May(VerbAdminister, "", "", "")
	switch allowed := s.HostFiles.Allow(f.Path, owner); {
	case allowed == nil:
		return resource.CodeInvalid, s.HostFiles.Check(f.Path, f.Made)
	case owner || s.HostFiles.Allow(f.Path, true) != nil:
		return resource.CodeInvalid, allowed
	default:
		return resource.CodeForbidden, allowed
	}
}
