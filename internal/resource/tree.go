package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// node is one JSON value as it was written: with the order of its members, with
// doubles, and with numbers as text. encoding/json would forget all three.
type node struct {
	kind    nodeKind
	text    string // of a string, number or boolean
	members []member
	items   []node
}

type member struct {
	name  string
	value node
}

type nodeKind string

const (
	nodeNull   nodeKind = "null"
	nodeBool   nodeKind = "true or false"
	nodeNumber nodeKind = "a number"
	nodeString nodeKind = "text"
	nodeList   nodeKind = "a list"
	nodeObject nodeKind = "an object"
)

// maxDepth is far more than any document needs and keeps hostile ones cheap.
const maxDepth = 64

// parseTree reads one JSON value that must be all of raw.
func parseTree(raw []byte) (node, error) {
	if !utf8.Valid(raw) {
		return node{}, errors.New("the document is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil {
		return node{}, syntaxError(raw, err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return parseNode(dec, 0)
}

func syntaxError(raw []byte, err error) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return errors.New("the document is empty")
	}
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := raw[:min(max(s.Offset-1, 0), int64(len(raw)))]
		line := 1 + bytes.Count(before, []byte("\n"))
		column := len(before) - bytes.LastIndexByte(before, '\n')
		return fmt.Errorf("the document is not JSON: line %d, column %d: %w", line, column, err)
	}
	return fmt.Errorf("the document is not JSON: %w", err)
}

func parseNode(dec *json.Decoder, depth int) (node, error) {
	if depth > maxDepth {
		return node{}, fmt.Errorf("the document is nested more than %d deep", maxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		return node{}, fmt.Errorf("the document is not JSON: %w", err)
	}
	switch t := token.(type) {
	case json.Delim:
		n := node{kind: nodeObject}
		if t == '[' {
			n.kind = nodeList
		}
		for dec.More() {
			if err := n.parseChild(dec, depth+1); err != nil {
				return node{}, err
			}
		}
		_, err := dec.Token()
		return n, err
	case string:
		return node{kind: nodeString, text: t}, nil
	case json.Number:
		return node{kind: nodeNumber, text: t.String()}, nil
	case bool:
		return node{kind: nodeBool, text: fmt.Sprint(t)}, nil
	}
	return node{kind: nodeNull, text: "null"}, nil
}

func (n *node) parseChild(dec *json.Decoder, depth int) error {
	if n.kind == nodeList {
		item, err := parseNode(dec, depth)
		n.items = append(n.items, item)
		return err
	}
	name, err := dec.Token()
	if err != nil {
		return err
	}
	value, err := parseNode(dec, depth)
	n.members = append(n.members, member{fmt.Sprint(name), value})
	return err
}

// raw is the node as JSON again; only asked of scalars.
func (n node) raw() []byte {
	if n.kind == nodeString {
		text, _ := json.Marshal(n.text) // a string always has an encoding
		return text
	}
	return []byte(n.text)
}

// show prints what was written, for an error's text.
func (n node) show() string {
	switch n.kind {
	case nodeList, nodeObject, nodeNull:
		return string(n.kind)
	case nodeString:
		return quote(n.text)
	}
	return strings.Trim(quote(n.text), `"`)
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// pointerTo is the JSON pointer (RFC 6901) of a child.
func pointerTo(parent, child string) string { return parent + "/" + pointerEscapes.Replace(child) }
