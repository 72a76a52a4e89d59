package resource

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// FieldChange is one difference between two documents. From or To is absent
// where the field was added or removed.
type FieldChange struct {
	Pointer string          `json:"pointer"`
	From    json.RawMessage `json:"from,omitempty"`
	To      json.RawMessage `json:"to,omitempty"`
}

func (f FieldChange) String() string {
	switch {
	case f.From == nil:
		return fmt.Sprintf("+ %s: %s", f.Pointer, f.To)
	case f.To == nil:
		return fmt.Sprintf("- %s: %s", f.Pointer, f.From)
	}
	return fmt.Sprintf("~ %s: %s → %s", f.Pointer, f.From, f.To)
}

// Diff lists what a user would have to change to make one document the other:
// labels, annotations and spec, in the order of their names. An empty from: the
// document is new.
func Diff(from, to Document) ([]FieldChange, error) {
	a, err := written(from)
	if err != nil {
		return nil, err
	}
	b, err := written(to)
	if err != nil {
		return nil, err
	}
	return diffValues(nil, "", a, b), nil
}

// written is what users write of a document, as plain values.
func written(d Document) (map[string]any, error) {
	raw, err := json.Marshal(Document{Meta: Meta{Labels: d.Labels, Annotations: d.Annotations}, Spec: d.Spec})
	if err != nil {
		return nil, fmt.Errorf("encode %s %s to compare it: %w", d.Kind, d.Name, err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // 1.10 stays 1.10, and large numbers are exact
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("decode %s %s to compare it: %w", d.Kind, d.Name, err)
	}
	delete(v, "kind")
	delete(v, "name")
	return v, nil
}

// diffValues appends what differs between a and b; nil is an absent value.
func diffValues(changes []FieldChange, at string, a, b any) []FieldChange {
	fieldsA, objectA := a.(map[string]any)
	fieldsB, objectB := b.(map[string]any)
	if (objectA || a == nil) && (objectB || b == nil) && len(fieldsA)+len(fieldsB) > 0 {
		names := map[string]bool{}
		for name := range fieldsA {
			names[name] = true
		}
		for name := range fieldsB {
			names[name] = true
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			changes = diffValues(changes, pointerTo(at, name), fieldsA[name], fieldsB[name])
		}
		return changes
	}
	listA, isListA := a.([]any)
	listB, isListB := b.([]any)
	if isListA && isListB && len(listA) == len(listB) {
		for i := range listA {
			changes = diffValues(changes, pointerTo(at, strconv.Itoa(i)), listA[i], listB[i])
		}
		return changes
	}
	from, to := encoded(a), encoded(b)
	if bytes.Equal(from, to) {
		return changes
	}
	return append(changes, FieldChange{at, from, to})
}

func encoded(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // it is shown to people: <, > and & as they are
	if err := enc.Encode(v); err != nil {
		return json.RawMessage("null") // decoded from JSON just before: cannot fail
	}
	return bytes.TrimSpace(b.Bytes())
}
