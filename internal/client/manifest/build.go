package manifest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// maxMerged is how many fields merge keys may copy within one document.
const maxMerged = 10_000

// builder turns the syntax tree of one YAML document into nodes. An alias shares
// its anchor's node, so a bomb of aliases stays small until it is encoded, where
// it is bounded.
type builder struct {
	lines   int
	anchors map[string]*node
	merged  int
}

func (b *builder) build(n ast.Node, depth int) (*node, error) {
	if n == nil {
		return &node{kind: kindNull, text: "null", plain: true}, nil
	}
	here := placeOf(n, b.lines)
	if depth > maxDepth {
		return nil, at(here, "nested more than %d deep", maxDepth)
	}
	switch v := n.(type) {
	case *ast.MappingNode:
		return b.object(v.Values, here, depth)
	case *ast.MappingValueNode:
		return b.object([]*ast.MappingValueNode{v}, here, depth)
	case *ast.SequenceNode:
		return b.list(v, here, depth)
	case *ast.AnchorNode:
		return b.anchor(v, here, depth)
	case *ast.AliasNode:
		name := v.Value.GetToken().Value
		if target, ok := b.anchors[name]; ok {
			return target, nil
		}
		return nil, at(here, "*%s stands for nothing: no &%s comes before it", name, name)
	case *ast.TagNode:
		return b.tag(v, here, depth)
	case *ast.LiteralNode:
		return &node{kind: kindText, text: v.Value.Value, place: here}, nil
	}
	return b.scalar(n, here)
}

func (b *builder) scalar(n ast.Node, here place) (*node, error) {
	raw := n.GetToken().Value
	out := &node{kind: kindScalar, text: raw, raw: raw, plain: true, place: here}
	switch v := n.(type) {
	case *ast.StringNode:
		out.kind, out.text = kindText, v.Value
	case *ast.BoolNode:
		out.text = strconv.FormatBool(v.Value)
	case *ast.NullNode:
		out.kind, out.text = kindNull, "null"
		if v.Token.Type == token.ImplicitNullType {
			out.raw = "" // nothing was written
		}
	case *ast.IntegerNode:
		out.text = fmt.Sprint(v.Value)
		if v.Token.Type == token.OctetIntegerType && len(raw) > 1 && raw[1] != 'o' {
			out.doubtful = fmt.Sprintf("%s is %s to some programs and %v to others: write one of them, or put it in quotes", raw, trimZeros(raw), v.Value)
		}
	case *ast.FloatNode:
		if !json.Valid([]byte(raw)) { // .5, 5. and +1.5 are YAML's only
			out.text = strconv.FormatFloat(v.Value, 'g', -1, 64)
		}
	case *ast.InfinityNode, *ast.NanNode:
		out.kind = kindText // JSON has no such number; the server says what it wants instead
	default:
		return nil, at(here, "%s cannot be used here", n.Type())
	}
	return out, nil
}

func trimZeros(s string) string {
	for len(s) > 1 && s[0] == '0' {
		s = s[1:]
	}
	return s
}

func (b *builder) list(v *ast.SequenceNode, here place, depth int) (*node, error) {
	out := &node{kind: kindList, place: here}
	for _, item := range v.Values {
		n, err := b.build(item, depth+1)
		if err != nil {
			return nil, err
		}
		out.items = append(out.items, n)
	}
	return out, nil
}

func (b *builder) object(values []*ast.MappingValueNode, here place, depth int) (*node, error) {
	out := &node{kind: kindObject, place: here}
	index := map[string]int{}
	var merges []*node
	for _, v := range values {
		value, err := b.build(v.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if v.Key.IsMergeKey() {
			merges = append(merges, value)
			continue
		}
		name, err := b.key(v.Key)
		if err != nil {
			return nil, err
		}
		if err := out.set(field{name, placeOf(v.Key, b.lines), value}, index); err != nil {
			return nil, err
		}
	}
	for _, from := range merges {
		if err := b.merge(out, from, index); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// key is the name of a field: any plain or quoted scalar, by its text. One with an
// anchor, an alias or a tag is refused.
func (b *builder) key(k ast.MapKeyNode) (string, error) {
	switch k.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode, *ast.NullNode:
		t := k.GetToken()
		if t.Type == token.StringType && strings.HasPrefix(t.Value, "- ") {
			return "", at(placeOf(k, b.lines), unclear) // the parser took an item of a list for a field
		}
		if t.Type != token.ImplicitNullType {
			return t.Value, nil
		}
	}
	return "", at(placeOf(k, b.lines), "the name of a field must be text on one line")
}

// merge adds the fields of from (a mapping, or a list of them) that out lacks.
func (b *builder) merge(out, from *node, index map[string]int) error {
	switch from.kind {
	case kindList:
		for _, item := range from.items {
			if item.kind != kindObject {
				return at(item.place, "<< takes mappings only, not %s", item.kind)
			}
			if err := b.merge(out, item, index); err != nil {
				return err
			}
		}
	case kindObject:
		if b.merged += len(from.fields) + 1; b.merged > maxMerged {
			return at(out.place, "<< copies more than %d fields in one document", maxMerged)
		}
		for _, f := range from.fields {
			if _, there := index[f.name]; !there {
				index[f.name] = len(out.fields)
				out.fields = append(out.fields, f)
			}
		}
	default:
		return at(from.place, "<< takes a mapping, not %s", from.kind)
	}
	return nil
}

// anchor is registered after its value was read: it cannot hold itself.
func (b *builder) anchor(v *ast.AnchorNode, here place, depth int) (*node, error) {
	n, err := b.build(v.Value, depth+1)
	if err != nil {
		return nil, err
	}
	if n.place == (place{}) {
		n.place = here
	}
	b.anchors[v.Name.GetToken().Value] = n
	return n, nil
}

// tag takes !!str, which makes text of a plain value; others have no meaning in a document.
func (b *builder) tag(v *ast.TagNode, here place, depth int) (*node, error) {
	if name := v.GetToken().Value; name != "!!str" && name != "!" {
		return nil, at(here, "the tag %s cannot be used: only !!str can", name)
	}
	n, err := b.build(v.Value, depth+1)
	if err != nil {
		return nil, err
	}
	switch {
	case n.kind == kindList || n.kind == kindObject:
		return nil, at(here, "!!str is for a single value, not %s", n.kind)
	case n.kind != kindText:
		return &node{kind: kindText, text: n.raw, place: here}, nil
	}
	return n, nil
}
