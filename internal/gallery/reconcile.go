package gallery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/distribution/v3"
	"github.com/opencontainers/go-digest"

	"github.com/droverhq/drover/internal/reconcile"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// resyncEvery is how often the whole registry is compared with its documents.
const resyncEvery = 10 * time.Minute

// An image comes through the loop under two keys: one to compare its content with
// its documents, one to write down only who uses it.
const (
	contentKey = "content "
	useKey     = "use "
)

func (g *Registry) loop() *reconcile.Loop {
	return &reconcile.Loop{
		Name:      "gallery",
		Store:     g.options.Store,
		Kinds:     []string{resource.KindImage, resource.KindImageVersion, resource.KindScaleSet, resource.KindRollout, resource.KindInstance},
		Keys:      g.keys,
		List:      g.allKeys,
		Reconcile: g.reconcile,
		Resync:    resyncEvery,
		Logger:    g.options.Logger,
	}
}

func (g *Registry) keys(_ context.Context, c store.Change) []string {
	d := c.Document
	switch d.Kind {
	case resource.KindImage:
		return []string{contentKey + d.Name}
	case resource.KindImageVersion:
		return []string{useKey + resource.OwnerOf(d)}
	}
	var keys []string
	for _, image := range g.touched.change(d, c.Deleted) {
		keys = append(keys, useKey+image)
	}
	return keys
}

// allKeys are the images that the registry or the store knows.
func (g *Registry) allKeys(ctx context.Context) ([]string, error) {
	names, err := g.repositories(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, n := range names {
		all[n] = resource.ValidateImageName(n) == nil
	}
	for _, kind := range []string{resource.KindImage, resource.KindImageVersion} {
		list, err := g.options.Store.List(ctx, kind, store.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, d := range list.Items {
			name, _, _ := strings.Cut(d.Name, ":")
			all[name] = true
		}
	}
	var keys []string
	for name, ok := range all {
		if ok {
			keys = append(keys, contentKey+name)
		}
	}
	return keys, nil
}

func (g *Registry) reconcile(ctx context.Context, key string) (time.Duration, error) {
	if image, ok := strings.CutPrefix(key, useKey); ok {
		return 0, g.updateUse(ctx, image)
	}
	image := strings.TrimPrefix(key, contentKey)
	unlock, err := g.locks.lock(ctx, image)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if err := g.finishRemovals(ctx, image); err != nil {
		return 0, err
	}
	if err := g.adoptAll(ctx, image); err != nil {
		return 0, err
	}
	if err := g.checkContent(ctx, image); err != nil {
		return 0, err
	}
	return 0, g.updateUse(ctx, image)
}

// adoptAll adds the documents of versions whose pushes were interrupted.
func (g *Registry) adoptAll(ctx context.Context, image string) error {
	tags, err := g.allTags(ctx, image)
	if err != nil {
		return err
	}
	for _, tag := range tags {
		version, err := resource.ParseVersion(tag)
		if err != nil {
			continue
		}
		_, err = g.options.Store.Get(ctx, resource.KindImageVersion, resource.ImageVersionName(image, version))
		if errors.Is(err, store.ErrNotFound) {
			err = g.adopt(ctx, image, version)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// adopt adds the documents of a version that has a tag and no document. What
// could not have become a version loses the tag: nobody was told that it is there.
func (g *Registry) adopt(ctx context.Context, image string, version resource.Version) error {
	p := published{image: image, version: version}
	var err error
	if p.digest, err = g.tagged(ctx, image, version.String()); err != nil {
		return err
	}
	why := errors.New("the tag was not finished")
	if p.digest != "" {
		p.bytes, why = g.surveyDigest(p.digest)
	}
	if why != nil {
		g.options.Logger.Warn("removed the tag of a version that was never finished", "image", image, "version", version, "reason", why)
		return g.untag(ctx, image, version.String())
	}
	g.options.Logger.Info("added the document of a version whose push was interrupted", "image", image, "version", version)
	return g.record(ctx, p)
}

func (g *Registry) surveyDigest(digest string) (int64, error) {
	m, raw, err := g.content.manifest(digest)
	if err != nil {
		return 0, err
	}
	return g.content.survey(m, int64(len(raw)))
}

// checkContent says in the versions' conditions whose content is not there, and
// writes tags that alone were lost again.
func (g *Registry) checkContent(ctx context.Context, image string) error {
	versions, err := listVersions(g.options.Store, image)
	if err != nil {
		return err
	}
	for _, v := range versions {
		_, number, ok := resource.SplitImageVersionName(v.Name)
		if !ok {
			continue
		}
		_, problem := g.surveyDigest(v.Status.Digest)
		if problem == nil {
			problem = g.ensureTag(ctx, image, number.String(), v.Status.Digest)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := g.tell(ctx, v, problem); err != nil {
			return err
		}
	}
	return nil
}

// ensureTag makes a version's tag point to what its document says.
func (g *Registry) ensureTag(ctx context.Context, image, tag, wanted string) error {
	repo, err := g.repository(ctx, image)
	if err != nil {
		return err
	}
	is, err := g.tagged(ctx, image, tag)
	if err != nil {
		return err
	}
	manifests, err := repo.Manifests(ctx)
	if err != nil {
		return err
	}
	linked, err := manifests.Exists(ctx, digest.Digest(wanted))
	if err != nil || is == wanted && linked {
		return err
	}
	m, raw, err := g.content.manifest(wanted)
	if err != nil {
		return err
	}
	parsed, described, err := distribution.UnmarshalManifest(m.mediaType(), raw)
	if err == nil {
		_, err = manifests.Put(ctx, parsed)
	}
	if err == nil {
		err = repo.Tags(ctx).Tag(ctx, tag, described)
	}
	if err != nil {
		return fmt.Errorf("write the tag %s:%s again: %w", image, tag, err)
	}
	g.options.Logger.Warn("wrote a version's lost tag again", "image", image, "version", tag, "digest", wanted)
	return nil
}

// tell writes or clears the condition that a version's content is missing.
func (g *Registry) tell(ctx context.Context, v resource.ImageVersion, problem error) error {
	known := resource.FindCondition(v.Status.Conditions, resource.ConditionContentMissing)
	if problem == nil && known == nil || problem != nil && known != nil && known.Message == problem.Error() {
		return nil
	}
	if problem != nil {
		g.options.Logger.Error("the content of an image version is missing: push it again", "version", v.Name, "err", problem)
	}
	_, err := g.options.Store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		return store.Edit(tx, resource.KindImageVersion, v.Name, func(o *resource.ImageVersion) error {
			o.Status.Conditions = resource.ClearCondition(o.Status.Conditions, resource.ConditionContentMissing)
			if problem != nil {
				o.Status.Conditions = resource.SetCondition(o.Status.Conditions, resource.Condition{
					Type: resource.ConditionContentMissing, Status: true, Reason: "BlobsMissing", Message: problem.Error(), Since: tx.Now(),
				})
			}
			return nil
		})
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
