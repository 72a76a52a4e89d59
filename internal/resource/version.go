package resource

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is an image's Major.Minor.Patch, compared as numbers.
type Version struct{ Major, Minor, Patch uint32 }

// ParseVersion reads M.m.p: three numbers up to 2147483647, without leading zeros, so
// that no two texts are the same version.
func ParseVersion(s string) (Version, error) {
	var n [3]uint32
	parts := strings.Split(s, ".")
	if len(parts) != len(n) {
		return Version{}, notVersion(s)
	}
	for i, part := range parts {
		v, err := strconv.ParseUint(part, 10, 31)
		if err != nil || strconv.FormatUint(v, 10) != part {
			return Version{}, notVersion(s)
		}
		n[i] = uint32(v)
	}
	return Version{n[0], n[1], n[2]}, nil
}

func notVersion(s string) error {
	return fmt.Errorf("%s is not a version: write Major.Minor.Patch, for example 1.4.0", quote(s))
}

// Compare is negative when v is older than o, positive when it is newer.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Major, o.Major), cmp.Compare(v.Minor, o.Minor), cmp.Compare(v.Patch, o.Patch))
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// ImageVersionName names a version of an image.
func ImageVersionName(image string, v Version) string { return image + ":" + v.String() }

// SplitImageVersionName is the inverse of ImageVersionName.
func SplitImageVersionName(name string) (image string, v Version, ok bool) {
	image, text, found := strings.Cut(name, ":")
	if !found || ValidateImageName(image) != nil {
		return "", Version{}, false
	}
	v, err := ParseVersion(text)
	if err != nil {
		return "", Version{}, false
	}
	return image, v, true
}
