package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestConditions(t *testing.T) {
	first, second := time.Unix(1, 0), time.Unix(2, 0)
	list := SetCondition(nil, Condition{Type: "A", Status: true, Reason: "x", Since: first})
	list = SetCondition(list, Condition{Type: "B", Since: first})

	list = SetCondition(list, Condition{Type: "A", Status: true, Reason: "x", Message: "new words", Since: second})
	if c := FindCondition(list, "A"); c == nil || !c.Since.Equal(first) || c.Message != "new words" {
		t.Errorf("a condition that stays lost its beginning: %+v", c)
	}
	list = SetCondition(list, Condition{Type: "A", Status: true, Reason: "y", Since: second})
	if c := FindCondition(list, "A"); c == nil || !c.Since.Equal(second) {
		t.Errorf("a condition with another reason did not begin anew: %+v", c)
	}
	list = ClearCondition(list, "A")
	if FindCondition(list, "A") != nil || FindCondition(list, "B") == nil || len(list) != 1 {
		t.Errorf("after clearing A: %+v", list)
	}
}

func TestErrorText(t *testing.T) {
	fields := []FieldError{{"/a", "is wrong"}, {"/b", "too"}}
	for want, e := range map[string]*Error{
		"gone":                                {Detail: "gone"},
		"/a: is wrong; /b: too":               {Fields: fields},
		"not valid: /a: is wrong; /b: too":    {Detail: "not valid", Fields: fields},
		"set hello does not exist, see 1 % 2": Errorf(CodeNotFound, "set %s does not exist, see 1 %% 2", "hello"),
	} {
		if e.Error() != want {
			t.Errorf("%q, want %q", e, want)
		}
	}
	wrapped := fmt.Errorf("apply: %w", Errorf(CodeConflict, "x"))
	if CodeOf(wrapped) != CodeConflict || CodeOf(io.EOF) != CodeInternal || !IsCode(wrapped, CodeConflict) || IsCode(nil, CodeInternal) {
		t.Error("an error lost its code")
	}
}

// What a newer version stored is read all the same; what is damaged says which document it is.
func TestFromAStoredDocument(t *testing.T) {
	d := Document{Meta: Meta{Kind: KindScaleSet, Name: "hello", Revision: 7},
		Spec: json.RawMessage(`{"image":"hello","ofTomorrow":true}`), Status: json.RawMessage(`{"colour":"blue","ofTomorrow":1}`)}
	set, err := From[ScaleSetSpec, ScaleSetStatus](d)
	if err != nil || set.Spec.Image != "hello" || set.Status.Colour != Blue || set.Revision != 7 {
		t.Errorf("%+v, %v", set, err)
	}
	for _, damaged := range []Document{{Meta: d.Meta, Spec: json.RawMessage(`{`)}, {Meta: d.Meta, Status: json.RawMessage(`[]`)}} {
		_, err := From[ScaleSetSpec, ScaleSetStatus](damaged)
		if err == nil || errors.Unwrap(err) == nil {
			t.Errorf("a damaged document was read: %v", err)
		}
	}
}

func TestNamesGoBothWays(t *testing.T) {
	if set, n, ok := SplitInstanceName(InstanceName("a-b", 12)); set != "a-b" || n != 12 || !ok {
		t.Errorf("instance of %q, %d, %v", set, n, ok)
	}
	if set, n, ok := SplitRolloutName(RolloutName("a-1", 2)); set != "a-1" || n != 2 || !ok {
		t.Errorf("rollout of %q, %d, %v", set, n, ok)
	}
	if Blue.Other() != Green || Green.Other() != Blue || Colour("").Other() != Blue {
		t.Error("the first colour is blue")
	}
}

func TestModelOfIsItsOwnCopy(t *testing.T) {
	spec := DefaultScaleSetSpec()
	spec.Command, spec.Env = []string{"./server"}, map[string]string{"A": "1"}
	m := ModelOf(spec, "hello:1.0.0", "sha256:1", "1.0.0")
	key := m.Key()
	spec.Command[0], spec.Env["A"] = "other", "2"
	if m.Key() != key {
		t.Error("a change of the spec changed a model made from it")
	}
}
