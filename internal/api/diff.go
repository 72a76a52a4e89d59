package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/droverhq/drover/internal/resource"
)

// Change is one difference between two documents. From is absent where the
// value is new, To where it is gone.
type Change struct {
	Pointer string `json:"pointer" example:"/spec/capacity"`
	From    any    `json:"from,omitempty"`
	To      any    `json:"to,omitempty"`
}

// changes are the differences in what a user writes, in the order of their pointers.
func changes(before, after resource.Document) []Change {
	list := []Change{}
	walk := func(pointer string, from, to any) { list = differ(list, pointer, from, to) }
	walk("/labels", texts(before.Labels), texts(after.Labels))
	walk("/annotations", texts(before.Annotations), texts(after.Annotations))
	walk("/spec", tree(before.Spec), tree(after.Spec))
	slices.SortStableFunc(list, func(a, b Change) int { return strings.Compare(a.Pointer, b.Pointer) })
	return list
}

func texts(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// tree reads an object; what the store holds is valid JSON. Numbers keep their text.
func tree(raw json.RawMessage) map[string]any {
	out := map[string]any{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&out) != nil {
		return map[string]any{}
	}
	return out
}

// differ descends into objects; lists and scalars differ as a whole.
func differ(list []Change, pointer string, from, to any) []Change {
	a, isA := from.(map[string]any)
	b, isB := to.(map[string]any)
	if !isA || !isB {
		if !reflect.DeepEqual(from, to) {
			list = append(list, Change{pointer, from, to})
		}
		return list
	}
	for k, v := range a {
		list = differ(list, pointer+"/"+escape(k), v, b[k])
	}
	for k, v := range b {
		if _, both := a[k]; !both {
			list = append(list, Change{pointer + "/" + escape(k), nil, v})
		}
	}
	return list
}

// escape is RFC 6901's.
func escape(k string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(k)
}
