package resource

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// What the reference shows as {} or [] is there in every document.
func TestEmptyIsPresent(t *testing.T) {
	for _, test := range []struct {
		document any
		want     []string // paths that hold {} or []
	}{
		{ScaleSet{}, []string{"labels", "annotations", "status.badModels", "status.conditions"}},
		{Instance{}, []string{"labels", "annotations", "status.conditions"}},
		{LoadBalancer{}, []string{"labels", "annotations", "status.conditions"}},
		{ImageVersion{}, []string{"labels", "annotations", "status.conditions"}},
		{Rollout{}, []string{"labels", "annotations", "status.weights", "status.report.steps", "status.report.traffic", "status.report.drains"}},
	} {
		text, err := json.Marshal(test.document)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range test.want {
			if got := at(t, text, path); got != "{}" && got != "[]" {
				t.Errorf("%T: %s is %q, not {} or []", test.document, path, got)
			}
		}
	}
}

func TestEmptyIsReadAsNil(t *testing.T) {
	var got Rollout
	text := `{"labels":{},"annotations":null,"status":{"weights":{},"report":{"steps":[],"traffic":null}}}`
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, Rollout{}) {
		t.Errorf("read %+v, not what was never filled", got)
	}
}

// at is the JSON at a path of field names; empty when it is not there.
func at(t *testing.T, text []byte, path string) string {
	t.Helper()
	name, rest, _ := strings.Cut(path, ".")
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	if rest != "" {
		return at(t, object[name], rest)
	}
	return string(object[name])
}
