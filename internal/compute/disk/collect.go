package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/droverhq/drover/internal/resource"
)

// Collect removes cached layers that none of these images has and no Prepare is
// using. An image that the gallery no longer knows keeps nothing: nothing can
// be made from it. Any other error keeps everything.
func (s *Store) Collect(ctx context.Context, digests []string) error {
	keep := map[string]bool{}
	for _, d := range digests {
		config, _, err := s.o.Images.Config(ctx, d)
		if resource.IsCode(err, resource.CodeImageNotFound) || resource.IsCode(err, resource.CodeNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("collect unused layers: image %s: %w", d, err)
		}
		for _, id := range config.RootFS.DiffIDs {
			keep[layerName(id)] = true
		}
	}
	there, err := os.ReadDir(s.layersDir())
	if err != nil {
		return fmt.Errorf("collect unused layers: %w", err)
	}
	var errs []error
	for _, e := range there {
		if !keep[e.Name()] {
			errs = append(errs, s.collect(ctx, e.Name()))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) collect(ctx context.Context, layer string) error {
	trash, err := s.throwUnused(layer)
	if err != nil || trash == "" {
		return err
	}
	return s.delete(ctx, trash)
}

// throwUnused holds the lock from looking until the layer is out of its place:
// who pins it afterwards finds nothing and unpacks it.
func (s *Store) throwUnused(layer string) (string, error) {
	trash := filepath.Join(s.trashDir(), s.fresh())
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.layers[layer]; c != nil && c.users > 0 {
		return "", nil
	}
	delete(s.layers, layer)
	if err := os.Rename(filepath.Join(s.layersDir(), layer), trash); err != nil {
		return "", fmt.Errorf("remove the unused layer %s: %w", layer, err)
	}
	return trash, nil
}
