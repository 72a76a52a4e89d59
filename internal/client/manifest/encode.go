package manifest

import (
	"bytes"
	"encoding/json"
)

// maxDocument is what one document may be as JSON, all aliases filled in: no
// server takes a larger one.
const maxDocument = 1 << 20

// encode writes the document as JSON.
func encode(root *node) (json.RawMessage, error) {
	e := encoder{start: root.place}
	if err := e.value(root, false); err != nil {
		return nil, err
	}
	return e.out.Bytes(), e.bounded()
}

type encoder struct {
	out   bytes.Buffer
	start place
	depth int
}

func (e *encoder) bounded() error {
	if e.out.Len() > maxDocument {
		return at(e.start, "the document is larger than 1MiB, with what its aliases stand for")
	}
	return nil
}

// value writes n; asText: plain values keep their text.
func (e *encoder) value(n *node, asText bool) error {
	if err := e.bounded(); err != nil {
		return err
	}
	if e.depth > maxDepth {
		return at(n.place, "nested more than %d deep", maxDepth)
	}
	e.depth++
	defer func() { e.depth-- }()
	switch n.kind {
	case kindObject:
		return e.object(n, asText)
	case kindList:
		return e.list(n, asText)
	case kindText:
		e.text(n.text)
		return nil
	}
	if asText && n.plain {
		e.text(n.raw)
		return nil
	}
	if n.doubtful != "" {
		return at(n.place, "%s", n.doubtful)
	}
	e.out.WriteString(n.text)
	return nil
}

func (e *encoder) object(n *node, asText bool) error {
	e.out.WriteByte('{')
	for i, f := range n.fields {
		if i > 0 {
			e.out.WriteByte(',')
		}
		e.text(f.name)
		e.out.WriteByte(':')
		if err := e.value(f.value, asText || e.keepsText(f.name)); err != nil {
			return err
		}
	}
	e.out.WriteByte('}')
	return nil
}

// keepsText reports whether a field holds a map of texts.
func (e *encoder) keepsText(name string) bool {
	return name == "env" || (e.depth == 1 && (name == "labels" || name == "annotations"))
}

func (e *encoder) list(n *node, asText bool) error {
	e.out.WriteByte('[')
	for i, item := range n.items {
		if i > 0 {
			e.out.WriteByte(',')
		}
		if err := e.value(item, asText); err != nil {
			return err
		}
	}
	e.out.WriteByte(']')
	return nil
}

func (e *encoder) text(s string) {
	text, _ := json.Marshal(s) // a string always has an encoding
	e.out.Write(text)
}
