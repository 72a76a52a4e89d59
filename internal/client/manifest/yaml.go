package manifest

import (
	"bytes"
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxDepth is far more nesting than any document needs.
	maxDepth = 64
	// maxTokens bounds the parser, whose cost grows with the square of a mapping's width.
	maxTokens = 100_000
)

// parseYAML reads the documents of a YAML stream. The stream is cut at its
// document markers first: they are markers wherever they stand, even in a quoted
// text, and the parser drops what follows an empty document.
func parseYAML(data []byte) ([]*node, []error) {
	var roots []*node
	var errs []error
	for _, piece := range splitYAML(data) {
		root, err := parsePiece(piece)
		if err != nil {
			errs = append(errs, err)
		} else if root != nil {
			roots = append(roots, root)
		}
	}
	return roots, errs
}

// piece is the text of one document and the number of lines before it.
type piece struct {
	text  []byte
	lines int
	begun bool // there is more than space, comments and directives
}

// splitYAML cuts at --- (which stays, with what follows on its line) and at
// "..."; directives, which mean nothing here, become empty lines.
func splitYAML(data []byte) []piece {
	var pieces []piece
	current := piece{}
	line := 0
	for text := range bytes.Lines(data) {
		ends := isMarker(text, "...")
		if ends || isMarker(text, "---") {
			pieces = append(pieces, current)
			current = piece{lines: line}
		}
		if ends || (!current.begun && text[0] == '%') {
			text = []byte("\n")
		}
		if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] != '#' {
			current.begun = true
		}
		current.text = append(current.text, text...)
		line++
	}
	return append(pieces, current)
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// parsePiece returns the document, or nil when there is only space and comments.
func parsePiece(p piece) (*node, error) {
	tokens := lexer.Tokenize(string(p.text))
	if err := checkTokens(tokens, p.lines); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxError(err, p.lines)
	}
	var root *node
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if root != nil {
			return nil, at(placeOf(d.Body, p.lines), "another document begins here without a line of ---")
		}
		if err := (layout{p.lines}).check(d.Body, 1); err != nil {
			return nil, err
		}
		b := builder{lines: p.lines, anchors: map[string]*node{}}
		if root, err = b.build(d.Body, 0); err != nil {
			return nil, err
		}
	}
	return root, nil
}

// checkTokens refuses what the parser, which calls itself for each level, could
// not bear.
func checkTokens(tokens token.Tokens, lines int) error {
	flow, run := 0, 0
	for i, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		}
		if nests(t) && t.Prev != nil && nests(t.Prev) && t.Prev.Position.Line == t.Position.Line {
			run++ // - - - x
		} else {
			run = 0
		}
		here := place{t.Position.Line + lines, t.Position.Column}
		if flow > maxDepth || run > maxDepth || t.Position.IndentLevel > maxDepth {
			return at(here, "nested more than %d deep", maxDepth)
		}
		if i > maxTokens {
			return at(here, "the document is too large: more than %d words and signs", maxTokens)
		}
	}
	return nil
}

func nests(t *token.Token) bool {
	return t.Type == token.SequenceEntryType || t.Type == token.MappingKeyType || t.Type == token.TagType
}

func syntaxError(err error, lines int) error {
	e, ok := errors.AsType[yaml.Error](err)
	if !ok {
		return at(place{lines + 1, 1}, "not YAML: %s", err)
	}
	message := e.GetMessage()
	if strings.Contains(message, "character '\t'") {
		message = "a tab cannot indent: use blanks"
	}
	here := place{lines + 1, 1}
	if t := e.GetToken(); t != nil && t.Position != nil {
		here = place{t.Position.Line + lines, t.Position.Column}
	}
	return at(here, "not YAML: %s", message)
}

func placeOf(n ast.Node, lines int) place {
	t := n.GetToken()
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		t = m.Values[0].Key.GetToken() // its own token is the first colon
	}
	if t == nil || t.Position == nil {
		return place{lines + 1, 1}
	}
	return place{t.Position.Line + lines, max(t.Position.Column, 1)}
}
