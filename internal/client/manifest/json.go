package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// jsonReader turns a stream of JSON values into nodes with places.
type jsonReader struct {
	data  []byte
	dec   *json.Decoder
	place place
	// next is the offset that place belongs to.
	next int64
}

// parseJSON reads one or more JSON values.
func parseJSON(data []byte) ([]*node, error) {
	if err := checkJSON(data); err != nil {
		return nil, err
	}
	r := &jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), place: place{1, 1}}
	r.dec.UseNumber()
	var roots []*node
	for {
		n, err := r.value(0)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, err
		}
		roots = append(roots, n)
	}
}

// checkJSON parses everything once with the strict parser, whose errors have
// offsets; the token reader below takes some malformed input.
func checkJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	for {
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			offset := int64(len(data))
			if s, ok := errors.AsType[*json.SyntaxError](err); ok {
				offset = min(max(s.Offset-1, 0), offset)
			}
			r := jsonReader{data: data, place: place{1, 1}}
			r.advance(offset)
			return at(r.place, "not JSON: %s", err)
		}
	}
}

// advance moves place on to an offset.
func (r *jsonReader) advance(to int64) {
	skipped := r.data[r.next:to]
	if i := bytes.LastIndexByte(skipped, '\n'); i >= 0 {
		r.place.line += bytes.Count(skipped, []byte("\n"))
		r.place.column = len(skipped) - i
	} else {
		r.place.column += len(skipped)
	}
	r.next = to
}

// token reads one token and moves place to where it begins.
func (r *jsonReader) token() (json.Token, error) {
	before := r.dec.InputOffset()
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	rest := bytes.TrimLeft(r.data[before:], " \t\r\n:,")
	r.advance(int64(len(r.data) - len(rest)))
	return token, nil
}

func (r *jsonReader) value(depth int) (*node, error) {
	token, err := r.token()
	if err != nil {
		return nil, err
	}
	n := &node{place: r.place}
	switch t := token.(type) {
	case json.Delim:
		if depth >= maxDepth {
			return nil, at(n.place, "nested more than %d deep", maxDepth)
		}
		if t == '{' {
			return n, r.object(n, depth)
		}
		return n, r.list(n, depth)
	case string:
		n.kind, n.text = kindText, t
	case nil:
		n.kind, n.text = kindNull, "null"
	default:
		n.kind, n.text = kindScalar, fmt.Sprint(t)
	}
	return n, nil
}

func (r *jsonReader) object(n *node, depth int) error {
	n.kind = kindObject
	index := map[string]int{}
	for r.dec.More() {
		name, err := r.token()
		if err != nil {
			return err
		}
		f := field{name: fmt.Sprint(name), place: r.place}
		if f.value, err = r.value(depth + 1); err != nil {
			return err
		}
		if err := n.set(f, index); err != nil {
			return err
		}
	}
	_, err := r.token()
	return err
}

func (r *jsonReader) list(n *node, depth int) error {
	n.kind = kindList
	for r.dec.More() {
		item, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := r.token()
	return err
}
