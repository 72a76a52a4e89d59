package resource

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// spec is what a user writes of a kind.
type spec interface {
	defaulter
	validate(c *checker)
}

// newSpec is an empty spec of that kind, or nil.
func newSpec(kind string) spec {
	switch kind {
	case KindScaleSet:
		return new(ScaleSetSpec)
	case KindLoadBalancer:
		return new(LoadBalancerSpec)
	case KindImage:
		return new(ImageSpec)
	case KindImageVersion:
		return new(ImageVersionSpec)
	case KindToken:
		return new(TokenSpec)
	}
	return nil
}

// envelope is a user's document. What only the server writes is taken and left
// aside, so that what was read can be sent back; Revision may serve as a precondition.
type envelope struct {
	Kind        string            `json:"kind"`
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Spec        json.RawMessage   `json:"spec"`
	Revision    int64             `json:"revision"`
	Generation  json.RawMessage   `json:"generation"`
	Created     json.RawMessage   `json:"created"`
	Status      json.RawMessage   `json:"status"`
}

// Decode reads a document as a user wrote it: strictly, with everything that is
// wrong with it in one *Error. The spec that comes back is complete: it carries
// the defaults. kind is what the document must be, or "" to take its own word.
func Decode(kind string, raw []byte) (Document, error) {
	tree, err := parseTree(raw)
	if err != nil {
		return Document{}, Errorf(CodeInvalid, "%s", err)
	}
	if tree.kind != nodeObject {
		return Document{}, Errorf(CodeInvalid, "a document is an object with kind, name and spec, not %s", tree.show())
	}
	kind, err = kindOf(tree, kind)
	if err != nil {
		return Document{}, err
	}
	c := &checker{kind: kind}
	env, specNode := c.bindEnvelope(tree)
	s := newSpec(kind)
	s.setDefaults()
	c.bind(specNode, reflect.ValueOf(s).Elem(), "/spec")
	c.checkMeta(Meta{Kind: kind, Name: env.Name, Labels: env.Labels, Annotations: env.Annotations})
	s.validate(c)
	if err := c.err(env.Name); err != nil {
		return Document{}, err
	}
	d := Document{Meta: Meta{Kind: kind, Name: env.Name, Labels: env.Labels, Annotations: env.Annotations, Revision: env.Revision}}
	if d.Spec, err = json.Marshal(s); err != nil {
		return Document{}, fmt.Errorf("encode spec of %s %s: %w", kind, env.Name, err)
	}
	return d, nil
}

// Validate checks a document that was decoded before and changed since.
func Validate(d Document) error {
	c := &checker{kind: d.Kind}
	c.checkMeta(d.Meta)
	if s := newSpec(d.Kind); s != nil {
		if err := json.Unmarshal(d.Spec, s); err != nil {
			return fmt.Errorf("decode spec of %s %s: %w", d.Kind, d.Name, err)
		}
		s.validate(c)
	}
	return c.err(d.Name)
}

// kindOf finds out which kind the document is, and that users may write it.
func kindOf(tree node, want string) (string, error) {
	written := want
	for _, m := range tree.members {
		if m.name == "kind" && m.value.kind == nodeString {
			written = m.value.text
			break
		}
	}
	if written == "" {
		return "", kindError(CodeInvalid, "expected a kind, for example ScaleSet")
	}
	k, err := LookupKind(written)
	switch {
	case err != nil:
		return "", kindError(CodeOf(err), err.Error())
	case written != k.Name:
		return "", kindError(CodeInvalid, fmt.Sprintf("there is no kind %s; did you mean %s?", quote(written), k.Name))
	case want != "" && k.Name != want:
		return "", kindError(CodeInvalid, fmt.Sprintf("expected %s here, not %s", want, k.Name))
	case k.ReadOnly != "":
		return "", kindError(CodeInvalid, fmt.Sprintf("%s is not written by hand: %s", k.Name, k.ReadOnly))
	}
	return k.Name, nil
}

func kindError(code Code, detail string) error {
	return &Error{Code: code, Fields: []FieldError{{"/kind", detail}}}
}

func (c *checker) bindEnvelope(tree node) (envelope, node) {
	var env envelope
	written := node{kind: nodeObject}
	own := tree
	own.members = nil
	for _, m := range tree.members {
		switch m.name {
		case "spec":
			written = m.value
			m.value = node{kind: nodeNull}
		case "status", "generation", "created":
			m.value = node{kind: nodeNull}
		}
		own.members = append(own.members, m)
	}
	c.bindStruct(own, reflect.ValueOf(&env).Elem(), "")
	return env, written
}
