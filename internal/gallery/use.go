package gallery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// users are the documents that may use images.
type users struct {
	sets      []resource.ScaleSet
	rollouts  []resource.Rollout
	instances []resource.Instance
}

// listUsers returns the documents that may use an image. There may be thousands
// of instances, and one image is in few: only what names it is decoded.
func listUsers(r store.Reader, image string) (u users, err error) {
	if u.sets, err = listNaming[resource.ScaleSetSpec, resource.ScaleSetStatus](r, resource.KindScaleSet, ""); err != nil {
		return u, err // all of them: each names its last rollout
	}
	if u.rollouts, err = listNaming[resource.RolloutSpec, resource.RolloutStatus](r, resource.KindRollout, image); err != nil {
		return u, err
	}
	u.instances, err = listNaming[resource.InstanceSpec, resource.InstanceStatus](r, resource.KindInstance, image)
	return u, err
}

func listNaming[S, T any](r store.Reader, kind, text string) ([]resource.Object[S, T], error) {
	list, err := r.List(context.Background(), kind, store.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []resource.Object[S, T]
	for _, d := range list.Items {
		if !bytes.Contains(d.Spec, []byte(text)) && !bytes.Contains(d.Status, []byte(text)) {
			continue
		}
		o, err := resource.From[S, T](d)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// of names the sets that use a version; never nil, it goes into a document.
func (u users) of(v resource.ImageVersion) []string {
	return append([]string{}, resource.InUse(v, u.sets, u.rollouts, u.instances)...)
}

// ofDigest names the sets that use some content of an image; an empty digest means any of it.
func (u users) ofDigest(image, digest string) []string {
	return resource.DigestInUse(image, digest, u.sets, u.rollouts, u.instances)
}

// mentions calls f for every image that is named, in use or not.
func (u users) mentions(f func(image, digest string)) {
	for _, s := range u.sets {
		if m := s.Status.Model; m != nil {
			f(m.Image, m.Digest)
		}
		if p := s.Status.Previous; p != nil {
			f(p.Model.Image, p.Model.Digest)
		}
	}
	for _, r := range u.rollouts {
		f(r.Spec.From.Image, r.Spec.From.Digest)
		f(r.Spec.To.Image, r.Spec.To.Digest)
	}
	for _, i := range u.instances {
		f(i.Status.Model.Image, i.Status.Model.Digest)
	}
}

// digests are the contents of an image that sets use.
func (u users) digests(image string) []string {
	all := map[string]bool{}
	u.mentions(func(used, digest string) {
		if nameOf(used) == image && digest != "" {
			all[digest] = true
		}
	})
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(d string) bool { return len(u.ofDigest(image, d)) == 0 })
}

// about leaves out what cannot decide who uses that image: of a set's thousand
// instances with one model, one is enough.
func (u users) about(image string) users {
	out := users{sets: u.sets}
	for _, r := range u.rollouts {
		if nameOf(r.Spec.From.Image) == image || nameOf(r.Spec.To.Image) == image {
			out.rollouts = append(out.rollouts, r)
		}
	}
	type use struct{ set, image, digest string }
	seen := map[use]bool{}
	for _, i := range u.instances {
		key := use{i.Status.Set, i.Status.Model.Image, i.Status.Model.Digest}
		if nameOf(key.image) == image && !seen[key] {
			seen[key] = true
			out.instances = append(out.instances, i)
		}
	}
	return out
}

// nameOf is an image reference without its version or digest.
func nameOf(ref string) string {
	if i := strings.IndexAny(ref, ":@"); i >= 0 {
		return ref[:i]
	}
	return ref
}

// updateUse writes down which sets use an image's versions, and its latest one.
func (g *Registry) updateUse(ctx context.Context, image string) error {
	versions, err := listVersions(g.options.Store, image)
	if err != nil || len(versions) == 0 {
		return err
	}
	users, err := listUsers(g.options.Store, image)
	if err != nil {
		return err
	}
	users = users.about(image)
	changed := map[string][]string{}
	for _, v := range versions {
		if sets := users.of(v); !slices.Equal(sets, v.Status.InUseBy) {
			changed[v.Name] = sets
		}
	}
	_, err = g.options.Store.Update(store.Essential(ctx), func(tx *store.Tx) error {
		for name, sets := range changed {
			err := store.Edit(tx, resource.KindImageVersion, name, func(o *resource.ImageVersion) error {
				o.Status.InUseBy = sets
				return nil
			})
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return putImage(tx, image, func(*resource.Image) {})
	})
	return err
}

// touched remembers which images each document uses, so that a change of one
// wakes those that it used before as well as those that it uses now, and the
// many changes of anything else wake none.
type touched struct {
	mu   sync.Mutex // guards uses
	uses map[string]string
}

func newTouched() *touched { return &touched{uses: map[string]string{}} }

func (t *touched) change(d resource.Document, deleted bool) []string {
	key, now := d.Kind+" "+d.Name, ""
	if !deleted {
		now = usesOf(d)
	}
	t.mu.Lock()
	before := t.uses[key]
	if now == "" {
		delete(t.uses, key)
	} else {
		t.uses[key] = now
	}
	t.mu.Unlock()
	if before == now {
		return nil
	}
	images := map[string]bool{}
	for use := range strings.FieldsSeq(before + " " + now) {
		if image, _, _ := strings.Cut(use, "@"); image != "" && image[0] != '#' {
			images[nameOf(image)] = true
		}
	}
	return slices.Sorted(maps.Keys(images))
}

// usesOf says what a document uses, each image with its digest, and what else
// decides whether that counts.
func usesOf(d resource.Document) string {
	var u users
	var uses []string
	switch d.Kind {
	case resource.KindScaleSet:
		if s, err := resource.From[resource.ScaleSetSpec, resource.ScaleSetStatus](d); err == nil {
			u.sets = append(u.sets, s)
			uses = append(uses, "#"+s.Status.LastRollout)
		}
	case resource.KindRollout:
		if r, err := resource.From[resource.RolloutSpec, resource.RolloutStatus](d); err == nil {
			u.rollouts = append(u.rollouts, r)
			uses = append(uses, fmt.Sprintf("#%t", r.Status.Phase.Terminal()))
		}
	case resource.KindInstance:
		if i, err := resource.From[resource.InstanceSpec, resource.InstanceStatus](d); err == nil {
			u.instances = append(u.instances, i)
		}
	}
	u.mentions(func(image, digest string) { uses = append(uses, image+"@"+digest) })
	slices.Sort(uses)
	return strings.Join(slices.Compact(uses), " ")
}
