package fleet

import (
	"maps"
	"reflect"
	"slices"

	"github.com/droverhq/drover/internal/resource"
)

// resolve finds the digest that the spec's image stands for now. versions are those
// of the image that the spec names.
func resolve(set resource.ScaleSet, versions []resource.ImageVersion) (resource.Model, error) {
	ref, err := resource.ParseImageRef(set.Spec.Image)
	if err != nil {
		return resource.Model{}, resource.Errorf(resource.CodeInvalid, "%s", err)
	}
	if ref.FollowsLatest() {
		return follow(set, ref, versions)
	}
	for _, v := range versions {
		_, number, ok := resource.SplitImageVersionName(v.Name)
		if !ok || (ref.Version != number.String() && ref.Digest != v.Status.Digest) {
			continue
		}
		return resource.ModelOf(set.Spec, ref.String(), v.Status.Digest, number.String()), nil
	}
	return resource.Model{}, notFound(ref.String())
}

// follow is the newest good version, never an older one than the one that runs.
// A set that runs a version of the image stays on it: only a newer version being
// asked for moves it (a rollout start, or automatic upgrade).
func follow(set resource.ScaleSet, ref resource.ImageRef, versions []resource.ImageVersion) (resource.Model, error) {
	if m := runningOf(set, ref.Name); m != nil {
		return resource.ModelOf(set.Spec, m.Image, m.Digest, m.Version), nil
	}
	return newest(set, ref, versions)
}

func newest(set resource.ScaleSet, ref resource.ImageRef, versions []resource.ImageVersion) (resource.Model, error) {
	bad := func(v resource.ImageVersion) bool {
		return slices.ContainsFunc(set.Status.BadModels, func(b resource.BadModel) bool { return b.Model.Digest == v.Status.Digest })
	}
	v, ok := resource.Latest(versions, bad)
	if !ok {
		return resource.Model{}, notFound(ref.Name)
	}
	_, number, _ := resource.SplitImageVersionName(v.Name)
	if m := runningOf(set, ref.Name); m != nil && older(number, m.Version) {
		return resource.ModelOf(set.Spec, m.Image, m.Digest, m.Version), nil
	}
	return resource.ModelOf(set.Spec, v.Name, v.Status.Digest, number.String()), nil
}

// runningOf is the set's model when it is a version of that image, else nil.
func runningOf(set resource.ScaleSet, image string) *resource.Model {
	m := set.Status.Model
	if m == nil {
		return nil
	}
	if running, err := resource.ParseImageRef(m.Image); err != nil || running.Name != image {
		return nil
	}
	return m
}

func older(v resource.Version, than string) bool {
	w, err := resource.ParseVersion(than)
	return err == nil && v.Compare(w) < 0
}

func notFound(image string) error {
	return resource.Errorf(resource.CodeImageNotFound, "image %s is not in the gallery; push it with `drover image push`", image)
}

// matches says whether the spec asks for what the model is.
func matches(spec resource.ScaleSetSpec, m resource.Model) bool {
	want := resource.ModelOf(spec, m.Image, m.Digest, m.Version)
	return matchesImage(spec.Image, m) && want.Key() == m.Key()
}

func matchesImage(image string, m resource.Model) bool {
	ref, err := resource.ParseImageRef(image)
	running, err2 := resource.ParseImageRef(m.Image)
	if err != nil || err2 != nil || ref.Name != running.Name {
		return false
	}
	switch {
	case ref.Digest != "":
		return ref.Digest == m.Digest
	case ref.Version != "":
		return ref.Version == m.Version
	}
	return true
}

// sameModelPart compares what two specs ask an instance to be made from.
func sameModelPart(a, b resource.ScaleSetSpec) bool {
	return a.Image == b.Image && slices.Equal(a.Command, b.Command) && maps.Equal(a.Env, b.Env) &&
		a.Root == b.Root && reflect.DeepEqual(a.Resources, b.Resources)
}
