package gallery

import (
	"context"
	"errors"
	"fmt"

	"github.com/distribution/distribution/v3"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// DeleteVersion deletes a version's document and tag, unless a set uses it.
func (g *Registry) DeleteVersion(ctx context.Context, name string) error {
	image, version, ok := resource.SplitImageVersionName(name)
	if !ok {
		return resource.Errorf(resource.CodeInvalid, "%q is not an image version: write IMAGE:Major.Minor.Patch", name)
	}
	unlock, err := g.locks.lock(ctx, image)
	if err != nil {
		return err
	}
	defer unlock()
	if err := g.finishRemovals(ctx, image); err != nil {
		return err
	}
	if err := g.unlist(ctx, removal{image: image, versions: []resource.Version{version}}); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return g.finishRemovals(ctx, image)
}

// DeleteImage deletes an image with all its versions and tags, unless a set uses
// any content of it.
func (g *Registry) DeleteImage(ctx context.Context, image string) error {
	unlock, err := g.locks.lock(ctx, image)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := g.options.Store.Get(ctx, resource.KindImage, image); err != nil {
		return fmt.Errorf("delete image %s: %w", image, err)
	}
	versions, err := listVersions(g.options.Store, image)
	if err != nil {
		return fmt.Errorf("delete image %s: %w", image, err)
	}
	var doomed []resource.Version
	for _, v := range versions {
		if _, number, ok := resource.SplitImageVersionName(v.Name); ok {
			doomed = append(doomed, number)
		}
	}
	err = g.unlist(ctx, removal{image: image, versions: doomed, whole: true})
	if err != nil {
		return fmt.Errorf("delete image %s: %w", image, err)
	}
	return g.finishRemovals(ctx, image)
}

// finishRemovals removes the tags that deletions noted, and the image if it goes
// too. It is called with the image's lock held, before anything is added to it.
func (g *Registry) finishRemovals(ctx context.Context, image string) error {
	o, err := store.GetAs[resource.ImageSpec, resource.ImageStatus](ctx, g.options.Store, resource.KindImage, image)
	if errors.Is(err, store.ErrNotFound) || err == nil && len(o.Status.Removing) == 0 && o.Status.Deleting == nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read image %s: %w", image, err)
	}
	doomed := o.Status.Removing
	if o.Status.Deleting != nil {
		if doomed, err = g.allTags(ctx, image); err != nil {
			return err
		}
	}
	for _, tag := range doomed {
		if err := g.untag(ctx, image, tag); err != nil {
			return err
		}
	}
	_, err = g.options.Store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		if o.Status.Deleting != nil {
			return tx.Delete(resource.KindImage, image)
		}
		return putImage(tx, image, func(o *resource.Image) { o.Status.Removing = nil })
	})
	if err != nil {
		return fmt.Errorf("finish the deletions of %s: %w", image, err)
	}
	g.options.Logger.Info("deleted", "image", image, "tags", doomed)
	return nil
}

// allTags returns an image's tags; none when nothing was ever pushed to it.
func (g *Registry) allTags(ctx context.Context, image string) ([]string, error) {
	repo, err := g.repository(ctx, image)
	if err != nil {
		return nil, err
	}
	tags, err := repo.Tags(ctx).All(ctx)
	if _, unknown := errors.AsType[distribution.ErrRepositoryUnknown](err); unknown {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the tags of %s: %w", image, err)
	}
	return tags, nil
}

// tagged returns the digest that a tag points to, or nothing.
func (g *Registry) tagged(ctx context.Context, image, tag string) (string, error) {
	repo, err := g.repository(ctx, image)
	if err != nil {
		return "", err
	}
	d, err := repo.Tags(ctx).Get(ctx, tag)
	if _, unknown := errors.AsType[distribution.ErrTagUnknown](err); unknown {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the tag %s:%s: %w", image, tag, err)
	}
	return d.Digest.String(), nil
}

// untag removes a tag, for good once it returns; one that is not there is none.
func (g *Registry) untag(ctx context.Context, image, tag string) error {
	repo, err := g.repository(ctx, image)
	if err != nil {
		return err
	}
	err = repo.Tags(ctx).Untag(ctx, tag)
	if _, gone := errors.AsType[storagedriver.PathNotFoundError](err); err != nil && !gone {
		return fmt.Errorf("remove the tag %s:%s: %w", image, tag, err)
	}
	return nil
}
