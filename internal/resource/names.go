package resource

import (
	"fmt"
	"regexp"
	"strings"
)

var nameText = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// maxImageName is the longest repository name that the registry protocol carries.
const maxImageName = 255

// ValidateName checks the name of a document whose kind has no rule of its own.
func ValidateName(name string) error {
	if nameText.MatchString(name) {
		return nil
	}
	if name == "" {
		return fmt.Errorf("a name is needed: 1 to 63 of a-z, 0-9 and -")
	}
	return fmt.Errorf("%s is not a name: use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends", quote(name))
}

// ValidateImageName checks an image's name, whose segments are joined by "/".
func ValidateImageName(name string) error {
	if len(name) > maxImageName {
		return fmt.Errorf("%s is longer than the %d characters that an image's name may have", quote(name), maxImageName)
	}
	for segment := range strings.SplitSeq(name, "/") {
		if err := ValidateName(segment); err != nil {
			if segment == name {
				return err
			}
			return fmt.Errorf("%s is not an image's name: each segment between / needs 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends", quote(name))
		}
	}
	return nil
}

// ValidateNameOf checks a name by the rule of its kind.
func ValidateNameOf(kind, name string) error {
	switch kind {
	case KindImage:
		return ValidateImageName(name)
	case KindImageVersion:
		if _, _, ok := SplitImageVersionName(name); !ok {
			return fmt.Errorf("%s is not an image version's name: write IMAGE:Major.Minor.Patch, for example web:1.4.0", quote(name))
		}
		return nil
	case KindInstance:
		if _, _, ok := SplitInstanceName(name); !ok {
			return fmt.Errorf("%s is not an instance's name: write SET_NUMBER, for example hello_3", quote(name))
		}
		return nil
	case KindRollout:
		if _, _, ok := SplitRolloutName(name); !ok {
			return fmt.Errorf("%s is not a rollout's name: write SET-NUMBER, for example hello-3", quote(name))
		}
		return nil
	}
	return ValidateName(name)
}
