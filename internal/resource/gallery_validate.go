package resource

import "strings"

func (s *ImageSpec) validate(c *checker) {
	oneOf(c, "/spec/osType", s.OSType, "Linux")
	if len(s.Description) > maxAnnotation {
		c.add("/spec/description", "a description has at most %d bytes", maxAnnotation)
	}
}

func (s *ImageVersionSpec) validate(c *checker) {
	if s.Revoked != nil && s.Revoked.At.IsZero() {
		c.add("/spec/revoked/at", "expected when it was revoked, for example 2026-01-31T12:00:00Z")
	}
}

func (s *TokenSpec) validate(c *checker) {
	if s.Role == "" {
		c.add("/spec/role", "expected a role: Reader, Publisher, Contributor or Owner")
	} else {
		oneOf(c, "/spec/role", s.Role, RoleReader, RolePublisher, RoleContributor, RoleOwner)
	}
	for i, scope := range s.Scopes {
		c.addErr(pointerTo("/spec/scopes", itoa(i)), ValidateScope(scope))
	}
}

// ValidateScope checks what limits a token: image/NAME or scaleset/NAME, with * at the end for all that begin so.
func ValidateScope(scope string) error {
	kind, name, _ := strings.Cut(scope, "/")
	prefix, open := strings.CutSuffix(name, "*")
	if open {
		prefix += "x" // any name that goes on from here
	}
	var err error
	switch kind {
	case "image":
		err = ValidateImageName(prefix)
	case "scaleset":
		err = ValidateName(prefix)
	default:
		return Errorf(CodeInvalid, "%s is not a scope: write image/NAME or scaleset/NAME, with * at the end for all names that begin so", quote(scope))
	}
	if err != nil {
		return Errorf(CodeInvalid, "scope %s: %s", quote(scope), err)
	}
	return nil
}
