package gallery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// content that a version's document describes.
type published struct {
	image   string
	version resource.Version
	digest  string
	bytes   int64
}

func (p published) name() string { return resource.ImageVersionName(p.image, p.version) }

// record writes the documents of a version that the registry holds. Once it has
// returned they are on disk.
func (g *Registry) record(ctx context.Context, p published) error {
	_, err := g.options.Store.Update(ctx, func(tx *store.Tx) error {
		if err := g.putVersion(tx, p); err != nil {
			return err
		}
		return putImage(tx, p.image, func(*resource.Image) {})
	})
	if err != nil {
		return fmt.Errorf("record %s: %w", p.name(), err)
	}
	return nil
}

func (g *Registry) putVersion(tx *store.Tx, p published) error {
	v, err := getVersion(tx.Reader(), p.name())
	switch {
	case errors.Is(err, store.ErrNotFound):
		v = resource.ImageVersion{
			Meta: resource.Meta{Kind: resource.KindImageVersion, Name: p.name()},
			Status: resource.ImageVersionStatus{
				PublishedAt: tx.Now(),
				InUseBy:     []string{},
				Replication: []resource.Replication{{Site: g.options.Site, State: "Completed"}},
			},
		}
	case err != nil:
		return err
	case v.Status.Digest != p.digest:
		return immutable(p.name(), v.Status.Digest, p.digest)
	}
	v.Status.Digest, v.Status.Bytes = p.digest, p.bytes
	v.Status.Conditions = resource.ClearCondition(v.Status.Conditions, resource.ConditionContentMissing)
	_, err = store.PutAs(tx, v)
	return err
}

func immutable(name, is, wanted string) error {
	return resource.Errorf(resource.CodeVersionImmutable,
		"%s exists with other content (%s, not %s): versions never change, push a new one", name, is, wanted)
}

// putImage changes an image's document, which is made if there is none, and
// brings its latest version up to date.
func putImage(tx *store.Tx, image string, change func(*resource.Image)) error {
	o, err := store.GetAs[resource.ImageSpec, resource.ImageStatus](context.Background(), tx.Reader(), resource.KindImage, image)
	if errors.Is(err, store.ErrNotFound) {
		o = resource.Image{
			Meta: resource.Meta{Kind: resource.KindImage, Name: image},
			Spec: resource.ImageSpec{OSType: "Linux"},
		}
	} else if err != nil {
		return err
	}
	versions, err := listVersions(tx.Reader(), image)
	if err != nil {
		return err
	}
	o.Status.Latest = ""
	if latest, ok := resource.Latest(versions, nil); ok {
		_, v, _ := resource.SplitImageVersionName(latest.Name)
		o.Status.Latest = v.String()
	}
	change(&o)
	_, err = store.PutAs(tx, o)
	return err
}

func getVersion(r store.Reader, name string) (resource.ImageVersion, error) {
	return store.GetAs[resource.ImageVersionSpec, resource.ImageVersionStatus](context.Background(), r, resource.KindImageVersion, name)
}

func listVersions(r store.Reader, image string) ([]resource.ImageVersion, error) {
	versions, _, err := store.ListAs[resource.ImageVersionSpec, resource.ImageVersionStatus](
		context.Background(), r, resource.KindImageVersion, store.ListOptions{Owner: image})
	return versions, err
}

func inUse(what string, sets []string) error {
	noun := "scale set"
	if len(sets) > 1 {
		noun = "scale sets"
	}
	return resource.Errorf(resource.CodeInUse, "%s is used by %s %s (running, last run or rolled out)", what, noun, strings.Join(sets, ", "))
}

// removal is what a deletion takes away.
type removal struct {
	image    string
	versions []resource.Version
	digest   string // content that goes too; no set may use it
	whole    bool   // the image with everything
}

// unlist deletes the documents of versions, unless a set uses one, and notes
// their tags in the image's status, in one transaction: a rollout that starts at
// the same time comes before it or finds the version gone.
func (g *Registry) unlist(ctx context.Context, r removal) error {
	_, err := g.options.Store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		users, err := listUsers(tx.Reader(), r.image)
		if err != nil {
			return err
		}
		if r.whole || r.digest != "" {
			if sets := users.ofDigest(r.image, r.digest); len(sets) > 0 {
				return inUse(strings.TrimSuffix(r.image+"@"+r.digest, "@"), sets)
			}
		}
		for _, number := range r.versions {
			v, err := getVersion(tx.Reader(), resource.ImageVersionName(r.image, number))
			if err != nil {
				return err
			}
			if sets := users.of(v); len(sets) > 0 {
				return inUse(v.Name, sets)
			}
			if err := tx.Delete(resource.KindImageVersion, v.Name); err != nil {
				return err
			}
		}
		return r.mark(tx)
	})
	return err
}

// mark notes in the image's status what has to follow the documents.
func (r removal) mark(tx *store.Tx) error {
	if len(r.versions) == 0 && !r.whole {
		return nil
	}
	return putImage(tx, r.image, func(o *resource.Image) {
		for _, number := range r.versions {
			o.Status.Removing = append(o.Status.Removing, number.String())
		}
		slices.Sort(o.Status.Removing)
		o.Status.Removing = slices.Compact(o.Status.Removing)
		if r.whole {
			o.Status.Deleting = &resource.Deleting{Since: tx.Now()}
		}
	})
}
