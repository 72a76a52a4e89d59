package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/internal/resource"
)

func specs() *rapid.Generator[map[string]any] {
	leaf := rapid.OneOf(
		rapid.Map(rapid.IntRange(-3, 3), func(i int) any { return float64(i) }),
		rapid.Map(rapid.SampledFrom([]string{"", "a", "/~"}), func(s string) any { return s }),
		rapid.Just[any](nil),
		rapid.Just[any]([]any{1.0, "x"}),
	)
	keys := rapid.SampledFrom([]string{"a", "b", "c/d", "e~f"})
	inner := rapid.Map(rapid.MapOf(keys, leaf), func(m map[string]any) any { return m })
	return rapid.MapOf(keys, rapid.OneOf(leaf, inner))
}

// set puts a value where a pointer points to; nil removes it.
func set(tree map[string]any, pointer string, v any) {
	parts := strings.Split(pointer, "/")[2:] // "", "spec"
	for i, p := range parts {
		k := strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
		if i == len(parts)-1 {
			if v == nil {
				delete(tree, k)
			} else {
				tree[k] = v
			}
			return
		}
		tree = tree[k].(map[string]any)
	}
}

// TestChangesLeadFromOneToTheOther: whoever does them to the old has the new.
func TestChangesLeadFromOneToTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := specs().Draw(t, "from"), specs().Draw(t, "to")
		encode := func(v any) resource.Document {
			raw, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			return resource.Document{Spec: raw}
		}
		before, after := encode(from), encode(to)
		if c := changes(before, before); len(c) != 0 {
			t.Fatalf("the same differs: %+v", c)
		}
		got := tree(before.Spec)
		for _, c := range changes(before, after) {
			set(got, c.Pointer, c.To)
		}
		if want := tree(after.Spec); !reflect.DeepEqual(withoutNull(got), withoutNull(want)) {
			t.Fatalf("%v with the changes is %v, want %v", from, got, want)
		}
	})
}

// withoutNull drops nulls: absent and null mean the same in a document.
func withoutNull(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if inner, ok := v.(map[string]any); ok {
			v = withoutNull(inner)
		}
		if v != nil {
			out[k] = v
		}
	}
	return out
}
