package resource

import (
	"fmt"
	"regexp"
	"strings"
)

var digestText = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ImageRef is what spec.image says: an image with a version, with a digest, or
// with neither, which follows the newest version.
type ImageRef struct {
	Name    string
	Version string // M.m.p
	Digest  string // sha256:…
}

// ParseImageRef reads NAME:M.m.p, NAME@sha256:… or NAME.
func ParseImageRef(s string) (ImageRef, error) {
	var r ImageRef
	if name, digest, found := strings.Cut(s, "@"); found {
		if !digestText.MatchString(digest) {
			return r, fmt.Errorf("%s has no digest after its @: write NAME@sha256: and 64 of 0-9a-f", quote(s))
		}
		r.Name, r.Digest = name, digest
	} else if name, version, found := strings.Cut(s, ":"); found {
		v, err := ParseVersion(version)
		if err != nil {
			return r, fmt.Errorf("image %s: %w", quote(s), err)
		}
		r.Name, r.Version = name, v.String()
	} else {
		r.Name = s
	}
	if err := ValidateImageName(r.Name); err != nil {
		return ImageRef{}, fmt.Errorf("image %s: %w", quote(s), err)
	}
	return r, nil
}

// FollowsLatest reports whether neither a version nor a digest is pinned.
func (r ImageRef) FollowsLatest() bool { return r.Version == "" && r.Digest == "" }

// String is the inverse of ParseImageRef.
func (r ImageRef) String() string {
	switch {
	case r.Digest != "":
		return r.Name + "@" + r.Digest
	case r.Version != "":
		return r.Name + ":" + r.Version
	}
	return r.Name
}

// ValidDigest reports whether s is a sha256 digest as registries write it.
func ValidDigest(s string) bool { return digestText.MatchString(s) }
