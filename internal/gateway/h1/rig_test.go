package h1

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

var roomy = Limits{Bytes: 64 << 10, Fields: 128}

// requestOf is a request with these fields beside Host.
func requestOf(fields ...string) string {
	return "GET / HTTP/1.1\r\n" + lines(append([]string{"Host: a"}, fields...))
}

func answerOf(fields ...string) string { return "HTTP/1.1 200 OK\r\n" + lines(fields) }

func lines(fields []string) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	return b.String() + "\r\n"
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Status
	}
	return 0
}

// bytewise calls parse with one byte more each time, each time in another place,
// until it decides.
func bytewise(in string, parse func([]byte) (int, error)) (n int, err error) {
	for i := range len(in) + 1 {
		if n, err = parse([]byte(in[:i])); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

func text(fields []Field) (out []string) {
	for _, f := range fields {
		out = append(out, string(f.Name)+": "+string(f.Value))
	}
	return out
}

func hops(fields []Field) (out []string) {
	for _, f := range fields {
		if f.Hop {
			out = append(out, string(f.Name))
		}
	}
	return out
}

func requireEqual[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
