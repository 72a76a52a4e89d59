package resource

import (
	"maps"
	"slices"
)

// Latest is the newest of an image's versions that is neither excluded from
// latest, nor revoked, nor one that except (which may be nil) turns down.
func Latest(versions []ImageVersion, except func(ImageVersion) bool) (ImageVersion, bool) {
	var best ImageVersion
	var newest Version
	found := false
	for _, v := range versions {
		_, number, ok := SplitImageVersionName(v.Name)
		if !ok || v.Spec.ExcludeFromLatest || v.Spec.Revoked != nil || (except != nil && except(v)) {
			continue
		}
		if !found || number.Compare(newest) > 0 {
			best, newest, found = v, number, true
		}
	}
	return best, found
}

// InUse names the sets for which the version must stay: they run it, ran it last
// (a rollback goes to it) or are rolling to or from it. Content counts and not
// only the number: two versions of an image with one digest share the manifest,
// and deleting that would take it from under the set that runs the other.
func InUse(v ImageVersion, sets []ScaleSet, rollouts []Rollout, instances []Instance) []string {
	return setsUsing(func(image, digest string) bool { return names(image, digest, v) }, sets, rollouts, instances)
}

// DigestInUse names the sets that use that content of an image, by whatever
// version or none; an empty digest means any content of it.
func DigestInUse(image, digest string, sets []ScaleSet, rollouts []Rollout, instances []Instance) []string {
	return setsUsing(func(used, usedDigest string) bool {
		ref, err := ParseImageRef(used)
		return err == nil && ref.Name == image && (digest == "" || digest == usedDigest)
	}, sets, rollouts, instances)
}

// setsUsing names the sets that run, ran last or are rolling to or from an image that matches.
func setsUsing(matches func(image, digest string) bool, sets []ScaleSet, rollouts []Rollout, instances []Instance) []string {
	users := map[string]bool{}
	uses := func(set, image, digest string) {
		if matches(image, digest) {
			users[set] = true
		}
	}
	last := map[string]bool{}
	for _, s := range sets {
		if m := s.Status.Model; m != nil {
			uses(s.Name, m.Image, m.Digest)
		}
		if p := s.Status.Previous; p != nil {
			uses(s.Name, p.Model.Image, p.Model.Digest)
		}
		last[s.Status.LastRollout] = true
	}
	for _, r := range rollouts {
		running := !r.Status.Phase.Terminal()
		if running {
			uses(r.Spec.Set, r.Spec.To.Image, r.Spec.To.Digest)
		}
		if running || last[r.Name] {
			uses(r.Spec.Set, r.Spec.From.Image, r.Spec.From.Digest)
		}
	}
	for _, i := range instances {
		uses(i.Status.Set, i.Status.Model.Image, i.Status.Model.Digest)
	}
	return slices.Sorted(maps.Keys(users))
}

// names reports whether an image reference, with the digest that it was resolved to, means v.
func names(image, digest string, v ImageVersion) bool {
	name, _, ok := SplitImageVersionName(v.Name)
	ref, err := ParseImageRef(image)
	if !ok || err != nil || ref.Name != name {
		return false
	}
	return image == v.Name || (digest != "" && digest == v.Status.Digest)
}
