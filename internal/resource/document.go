package resource

import (
	"encoding/json"
	"fmt"
	"time"
)

// Meta is the envelope that all documents share.
type Meta struct {
	Kind        string      `json:"kind"`
	Name        string      `json:"name"`
	Labels      Map[string] `json:"labels"`
	Annotations Map[string] `json:"annotations"`
	// Revision is the store's revision of the last write; Generation counts changes of spec.
	Revision   int64     `json:"revision,omitempty"`
	Generation int64     `json:"generation,omitempty"`
	Created    time.Time `json:"created,omitzero"`
}

// Document is a document whose spec and status are still encoded.
type Document struct {
	Meta
	Spec   json.RawMessage `json:"spec,omitempty"`
	Status json.RawMessage `json:"status,omitempty"`
}

// Object is a document whose spec and status are typed.
type Object[S, T any] struct {
	Meta
	Spec   S `json:"spec"`
	Status T `json:"status"`
}

// From decodes a document that the store holds. The store only holds what was
// validated, so unknown fields are ignored here: a newer Drover may have written them.
func From[S, T any](d Document) (Object[S, T], error) {
	o := Object[S, T]{Meta: d.Meta}
	if len(d.Spec) > 0 {
		if err := json.Unmarshal(d.Spec, &o.Spec); err != nil {
			return o, fmt.Errorf("decode spec of %s %s: %w", d.Kind, d.Name, err)
		}
	}
	if len(d.Status) > 0 {
		if err := json.Unmarshal(d.Status, &o.Status); err != nil {
			return o, fmt.Errorf("decode status of %s %s: %w", d.Kind, d.Name, err)
		}
	}
	return o, nil
}

// Document encodes the object.
func (o Object[S, T]) Document() (Document, error) {
	d := Document{Meta: o.Meta}
	var err error
	if d.Spec, err = json.Marshal(o.Spec); err != nil {
		return d, fmt.Errorf("encode spec of %s %s: %w", o.Kind, o.Name, err)
	}
	if d.Status, err = json.Marshal(o.Status); err != nil {
		return d, fmt.Errorf("encode status of %s %s: %w", o.Kind, o.Name, err)
	}
	return d, nil
}

// Condition says one thing about a document that is not its normal state.
type Condition struct {
	Type    string    `json:"type"`
	Status  bool      `json:"status"`
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since"`
}

// SetCondition sets the condition of c's type, keeping Since while Status and Reason stay the same.
func SetCondition(list []Condition, c Condition) []Condition {
	for i, old := range list {
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status && old.Reason == c.Reason {
			c.Since = old.Since
		}
		list[i] = c
		return list
	}
	return append(list, c)
}

// ClearCondition removes the condition of that type.
func ClearCondition(list []Condition, typ string) []Condition {
	out := list[:0]
	for _, c := range list {
		if c.Type != typ {
			out = append(out, c)
		}
	}
	return out
}

// FindCondition returns the condition of that type, or nil.
func FindCondition(list []Condition, typ string) *Condition {
	for i := range list {
		if list[i].Type == typ {
			return &list[i]
		}
	}
	return nil
}
