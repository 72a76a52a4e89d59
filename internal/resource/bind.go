package resource

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// defaulter is a type whose absent fields have values.
type defaulter interface{ setDefaults() }

// bind puts what was written into v and notes all that does not fit. What was not
// written, or is null, keeps the value that v has: the default.
func (c *checker) bind(n node, v reflect.Value, at string) {
	if n.kind == nodeNull {
		return
	}
	switch target := v.Addr().Interface().(type) {
	case *time.Time:
		c.bindTime(n, target, at)
		return
	case *Backend:
		c.bindBackend(n, target, at)
		return
	case json.Unmarshaler:
		if n.kind == nodeObject || n.kind == nodeList {
			n.text = "{}" // neither is a quantity: its own decoder says what is expected
		}
		c.addErr(at, target.UnmarshalJSON(n.raw()))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		fresh := reflect.New(v.Type().Elem())
		if d, ok := fresh.Interface().(defaulter); ok {
			d.setDefaults()
		}
		c.bind(n, fresh.Elem(), at)
		v.Set(fresh)
	case reflect.Struct:
		c.bindStruct(n, v, at)
	case reflect.Slice:
		c.bindList(n, v, at)
	case reflect.Map:
		c.bindText(n, v, at)
	default:
		c.bindScalar(n, v, at)
	}
}

func (c *checker) bindStruct(n node, v reflect.Value, at string) {
	names := fieldNames(v.Type())
	if !c.expect(n, nodeObject, at, "with "+strings.Join(names, ", ")) {
		return
	}
	seen := map[string]bool{}
	for _, m := range n.members {
		here := pointerTo(at, m.name)
		if c.double(seen, m.name, here) {
			continue
		}
		i := indexOf(names, m.name)
		if i < 0 {
			c.unknown(here, m.name, names)
			continue
		}
		c.bind(m.value, v.Field(i), here)
	}
}

func (c *checker) bindList(n node, v reflect.Value, at string) {
	if !c.expect(n, nodeList, at, `in brackets, for example [a, b]`) {
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		here := pointerTo(at, strconv.Itoa(i))
		if item.kind == nodeNull {
			c.add(here, "null is not an item of a list: leave it out")
			continue
		}
		c.bind(item, list.Index(i), here)
	}
	v.Set(list)
}

// bindText fills a map of text. Its numbers and booleans keep the text that they
// were written with: 1.10 is 1.10.
func (c *checker) bindText(n node, v reflect.Value, at string) {
	if !c.expect(n, nodeObject, at, `of names and text, for example {LEVEL: debug}`) {
		return
	}
	texts := make(map[string]string, len(n.members))
	seen := map[string]bool{}
	for _, m := range n.members {
		here := pointerTo(at, m.name)
		if c.double(seen, m.name, here) {
			continue
		}
		switch m.value.kind {
		case nodeString, nodeNumber, nodeBool:
			texts[m.name] = m.value.text
		case nodeNull:
			c.add(here, `null is no text: write "" for an empty value, or leave it out`)
		default:
			c.add(here, "expected text, not %s", m.value.show())
		}
	}
	v.Set(reflect.ValueOf(texts))
}

func (c *checker) bindScalar(n node, v reflect.Value, at string) {
	switch v.Kind() {
	case reflect.String:
		if n.kind == nodeNumber || n.kind == nodeBool {
			c.add(at, "expected text, not %s: put it in quotes", n.show())
		} else if c.expect(n, nodeString, at, "") {
			v.SetString(n.text)
		}
	case reflect.Bool:
		if c.expect(n, nodeBool, at, "") {
			v.SetBool(n.text == "true")
		}
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.text, 64)
		if n.kind != nodeNumber || err != nil {
			c.add(at, "expected a number, for example 0.5, not %s", n.show())
			return
		}
		v.SetFloat(f)
	default:
		i, err := strconv.ParseInt(n.text, 10, 64)
		if n.kind != nodeNumber || err != nil || v.OverflowInt(i) {
			c.add(at, "expected a whole number, for example 3, not %s", n.show())
			return
		}
		v.SetInt(i)
	}
}

func (c *checker) bindTime(n node, t *time.Time, at string) {
	parsed, err := time.Parse(time.RFC3339, n.text)
	if n.kind != nodeString || err != nil {
		c.add(at, "expected a time, for example 2026-01-31T12:00:00Z, not %s", n.show())
		return
	}
	*t = parsed.UTC()
}

func (c *checker) bindBackend(n node, b *Backend, at string) {
	switch n.kind {
	case nodeString:
		*b = Backend{Set: n.text}
		if n.text == "" {
			c.add(at, "expected the name of a ScaleSet")
		}
	case nodeObject:
		var a backendAddresses
		c.bindStruct(n, reflect.ValueOf(&a).Elem(), at)
		*b = Backend{Addresses: a.Addresses}
	default:
		c.add(at, `expected the name of a ScaleSet or {addresses: ["127.0.0.1:9000"]}, not %s`, n.show())
	}
}

func (c *checker) expect(n node, kind nodeKind, at, more string) bool {
	if n.kind == kind {
		return true
	}
	c.add(at, "expected %s, not %s", strings.TrimSpace(string(kind)+" "+more), n.show())
	return false
}

func (c *checker) double(seen map[string]bool, name, at string) bool {
	if seen[name] {
		c.add(at, "the field is there twice")
		return true
	}
	seen[name] = true
	return false
}

// unknown says what could have been meant: the field in another case, one of that
// very name somewhere else, or one of the same object that looks alike.
func (c *checker) unknown(at, name string, siblings []string) {
	if laterField(c.kind, at) {
		c.later(at, name)
		return
	}
	if c.full() {
		c.invalid = true
		return
	}
	near := nearest(name, siblings)
	place := findField(reflect.TypeOf(newSpec(c.kind)).Elem(), name, "/spec")
	switch {
	case place != "" && !strings.EqualFold(near, name):
		c.add(at, "unknown field here; did you mean %s?", place)
	case near != "":
		c.add(at, "unknown field; did you mean %s?", near)
	default:
		c.add(at, "unknown field; there are %s", strings.Join(siblings, ", "))
	}
}

// fieldNames are the JSON names of a struct's fields, by index.
func fieldNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	return names
}

func indexOf(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

// findField looks for a field of that name below t and returns its pointer, or "".
func findField(t reflect.Type, name, at string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[Backend]() {
		return ""
	}
	names := fieldNames(t)
	if indexOf(names, name) >= 0 {
		return pointerTo(at, name)
	}
	for i, child := range names {
		if place := findField(t.Field(i).Type, name, pointerTo(at, child)); place != "" {
			return place
		}
	}
	return ""
}
