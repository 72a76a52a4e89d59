package resource

import (
	"errors"
	"fmt"
	"strings"
)

// Code is the stable machine-readable name of an error at the edges (API, CLI).
type Code string

const (
	CodeInvalid             Code = "invalid"
	CodeUnsupported         Code = "not_yet_supported"
	CodeNotFound            Code = "not_found"
	CodeImageNotFound       Code = "image_not_found"
	CodeConflict            Code = "conflict"
	CodeAlreadyExists       Code = "already_exists"
	CodeRevisionConflict    Code = "revision_conflict"
	CodeRolloutInProgress   Code = "rollout_in_progress"
	CodeModelKnownBad       Code = "model_known_bad"
	CodeNotRollbackable     Code = "not_rollbackable"
	CodeInvalidPhase        Code = "invalid_phase"
	CodeVersionImmutable    Code = "version_immutable"
	CodeInUse               Code = "in_use"
	CodeUnauthenticated     Code = "unauthenticated"
	CodeForbidden           Code = "forbidden"
	CodeGone                Code = "gone"
	CodeInsufficientStorage Code = "insufficient_storage"
	CodeUnavailable         Code = "unavailable"
	CodeTooLarge            Code = "too_large"
	CodeTooManyRequests     Code = "too_many_requests"
	CodeMethodNotAllowed    Code = "method_not_allowed"
	CodeInternal            Code = "internal"
)

// Error is the one coded error type at the edges. Inside a room plain wrapped
// errors are enough; what has no code is logged whole and shown as internal.
type Error struct {
	Code   Code
	Detail string
	Fields []FieldError
}

// FieldError names one bad field by its JSON pointer, with what to do about it.
type FieldError struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

func (e *Error) Error() string {
	if len(e.Fields) == 0 {
		return e.Detail
	}
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Pointer + ": " + f.Detail
	}
	if e.Detail == "" {
		return strings.Join(parts, "; ")
	}
	return e.Detail + ": " + strings.Join(parts, "; ")
}

// Errorf makes a coded error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the first coded error in err's chain, else CodeInternal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}

// IsCode reports whether err carries that code.
func IsCode(err error, code Code) bool { return err != nil && CodeOf(err) == code }
