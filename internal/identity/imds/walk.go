package imds

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

func (h *Handler) instance(r request) reply {
	node, found := walk(metadata(r.from, r.version()), r.rest)
	if !found {
		return notFound()
	}
	leaf, isLeaf := node.(string)
	switch format := strings.ToLower(r.params["format"]); {
	case format == "text" && isLeaf:
		return text(leaf)
	case format == "text":
		return text(listing(node))
	case format != "" && format != "json":
		return badRequest("format is json or text")
	case isLeaf:
		return badRequest("format=text is required for a value without parts")
	}
	return document(node)
}

// walk goes down a document by names, in any case, and by indices.
func walk(node any, path []string) (any, bool) {
	for _, step := range path {
		next, found := child(node, step)
		if !found {
			return nil, false
		}
		node = next
	}
	return node, true
}

func child(node any, step string) (any, bool) {
	switch n := node.(type) {
	case object:
		for name, value := range n {
			if strings.EqualFold(name, step) {
				return value, true
			}
		}
	case []any:
		i, err := strconv.ParseUint(step, 10, 31)
		if err == nil && i < uint64(len(n)) && step == strconv.FormatUint(i, 10) {
			return n[i], true
		}
	}
	return nil, false
}

// listing names the parts of a node, one a line; those with parts of their own
// end with a slash.
func listing(node any) string {
	var lines []string
	add := func(name string, value any) {
		if _, leaf := value.(string); !leaf {
			name += "/"
		}
		lines = append(lines, name)
	}
	switch n := node.(type) {
	case object:
		for _, name := range slices.Sorted(maps.Keys(n)) {
			add(name, n[name])
		}
	case []any:
		for i, value := range n {
			add(strconv.Itoa(i), value)
		}
	}
	return strings.Join(lines, "\n")
}
