package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/droverhq/drover/internal/resource"
)

// decodeBody reads the small body of an action, strictly. No body is an empty one.
func decodeBody(raw []byte, v any) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil
	}
	if !utf8.Valid(raw) {
		return resource.Errorf(resource.CodeInvalid, "the body is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return badBody(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return resource.Errorf(resource.CodeInvalid, "the body goes on after its JSON object")
	}
	return nil
}

func badBody(err error) error {
	e := &resource.Error{Code: resource.CodeInvalid, Detail: "the body is not valid"}
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		e.Fields = []resource.FieldError{{
			Pointer: "/" + strings.ReplaceAll(t.Field, ".", "/"), Detail: "expected " + t.Type.String() + ", not " + t.Value,
		}}
		return e
	}
	// The library has no type for this one.
	if name, ok := strings.CutPrefix(err.Error(), `json: unknown field "`); ok {
		e.Fields = []resource.FieldError{{Pointer: "/" + escape(strings.TrimSuffix(name, `"`)), Detail: "there is no such field"}}
		return e
	}
	e.Detail = "the body is not valid: " + strings.TrimPrefix(err.Error(), "json: ")
	return e
}

// badField is one wrong field of a body.
func badField(pointer, detail string) error {
	return &resource.Error{Code: resource.CodeInvalid, Detail: "the body is not valid", Fields: []resource.FieldError{{Pointer: pointer, Detail: detail}}}
}
