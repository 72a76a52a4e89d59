package manifest

import (
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

const unclear = `the indentation is not clear here: indent what belongs together alike, and write what is empty as null, "", [] or {}`

// layout checks that the syntax tree has the shape that the indentation shows.
// The parser puts some odd but legal texts together wrongly without a word (a
// field after an empty item of a list becomes part of that item); a document that
// means something else than it looks like must be refused, not applied.
type layout struct{ lines int }

// check wants n to begin at column least or further right.
func (l layout) check(n ast.Node, least int) error {
	switch v := n.(type) {
	case *ast.AnchorNode:
		return l.check(v.Value, least)
	case *ast.TagNode:
		return l.check(v.Value, least)
	case *ast.MappingValueNode:
		return l.mapping([]*ast.MappingValueNode{v}, least)
	case *ast.MappingNode:
		if !v.IsFlowStyle {
			return l.mapping(v.Values, least)
		}
	case *ast.SequenceNode:
		if !v.IsFlowStyle {
			return l.sequence(v, least)
		}
	}
	return nil
}

func (l layout) mapping(values []*ast.MappingValueNode, least int) error {
	column := 0
	for _, v := range values {
		key := v.Key.GetToken()
		if column == 0 {
			column = key.Position.Column
		}
		if err := l.aligned(key, column, least); err != nil {
			return err
		}
		inner := column + 1
		if s, ok := v.Value.(*ast.SequenceNode); ok && !s.IsFlowStyle {
			inner = column // dashes may stand right below their field
		}
		if err := l.check(v.Value, inner); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) sequence(v *ast.SequenceNode, least int) error {
	column := v.Start.Position.Column
	for _, e := range v.Entries {
		if err := l.aligned(e.Start, column, least); err != nil {
			return err
		}
	}
	for _, item := range v.Values {
		if err := l.check(item, column+1); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) aligned(t *token.Token, column, least int) error {
	if got := t.Position.Column; got != column || got < least {
		return at(place{t.Position.Line + l.lines, got}, unclear)
	}
	return nil
}
