package redact

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
)

// Handler passes records on to next without their secrets.
func Handler(next slog.Handler) slog.Handler { return handler{next} }

type handler struct{ next slog.Handler }

func (h handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, String(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.next.WithAttrs(cleanAll(attrs))}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.next.WithGroup(name)} }

func cleanAll(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = attr(a)
	}
	return clean
}

func attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve() // a LogValuer's result, too, goes out
	switch v.Kind() {
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64, slog.KindTime, slog.KindUint64:
		return slog.Attr{Key: String(a.Key), Value: v}
	}
	if Secret(a.Key) {
		return slog.String(a.Key, Mark)
	}
	switch v.Kind() {
	case slog.KindString:
		v = slog.StringValue(String(v.String()))
	case slog.KindGroup:
		v = slog.GroupValue(cleanAll(v.Group())...)
	default:
		v = anyValue(v.Any())
	}
	return slog.Attr{Key: String(a.Key), Value: v}
}

// anyValue cleans a value that the next handler would print by its own means.
func anyValue(v any) slog.Value {
	switch v := v.(type) {
	case nil:
		return slog.AnyValue(nil)
	case error:
		return slog.StringValue(String(v.Error()))
	case *url.URL:
		return slog.StringValue(String(v.String()))
	case http.Header:
		return slog.AnyValue(header(v))
	case []byte:
		return slog.StringValue(String(string(v)))
	case fmt.Stringer:
		return slog.StringValue(String(v.String()))
	}
	return structured(v)
}

func header(h http.Header) map[string][]string {
	clean := make(map[string][]string, len(h))
	for key, values := range h {
		for _, v := range values {
			if Secret(key) {
				v = Mark
			}
			clean[key] = append(clean[key], String(v))
		}
	}
	return clean
}

// structured keeps a value whose texts hold no secret. Text handlers print it by
// fmt, unexported fields too; JSON handlers by encoding/json, pointers followed.
// Both must be clean, else the cleaned JSON is what goes out.
func structured(v any) slog.Value {
	text := fmt.Sprintf("%+v", v)
	encoded, err := json.Marshal(v)
	if err != nil {
		return slog.StringValue(String(text))
	}
	var plain any
	if json.Unmarshal(encoded, &plain) != nil {
		return slog.StringValue(String(text))
	}
	cleaned, changed := tree(plain)
	if !changed && String(text) == text {
		return slog.AnyValue(v)
	}
	return slog.AnyValue(cleaned)
}

// tree cleans decoded JSON in place and reports whether it found anything.
func tree(v any) (any, bool) {
	changed := false
	switch v := v.(type) {
	case string:
		s := String(v)
		return s, s != v
	case []any:
		for i, item := range v {
			clean, c := tree(item)
			v[i], changed = clean, changed || c
		}
	case map[string]any:
		for key, item := range v {
			clean, c := tree(item)
			if _, number := item.(float64); !number && item != nil && Secret(key) {
				clean, c = Mark, true
			}
			v[key], changed = clean, changed || c
		}
	}
	return v, changed
}
