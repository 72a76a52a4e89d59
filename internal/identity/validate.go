package identity

import (
	"fmt"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// validate checks a token that is about to be made.
func validate(name string, t resource.TokenSpec, now time.Time) error {
	var bad []resource.FieldError
	if err := resource.ValidateName(name); err != nil {
		bad = append(bad, resource.FieldError{Pointer: "/name", Detail: err.Error()})
	}
	if rank(t.Role) == 0 {
		bad = append(bad, resource.FieldError{Pointer: "/spec/role", Detail: fmt.Sprintf(
			"%q is not a role: use %s, %s, %s or %s", t.Role,
			resource.RoleReader, resource.RolePublisher, resource.RoleContributor, resource.RoleOwner)})
	}
	for i, s := range t.Scopes {
		if err := resource.ValidateScope(s); err != nil {
			bad = append(bad, resource.FieldError{Pointer: fmt.Sprintf("/spec/scopes/%d", i), Detail: err.Error()})
		}
	}
	if t.Expires != nil && !t.Expires.After(now) {
		bad = append(bad, resource.FieldError{Pointer: "/spec/expires", Detail: "is in the past"})
	}
	if len(bad) > 0 {
		return &resource.Error{Code: resource.CodeInvalid, Detail: "the token cannot be made", Fields: bad}
	}
	return nil
}
