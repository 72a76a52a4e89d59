package cli

import "testing"

func TestCompareNames(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"hello_2", "hello_10", -1}, {"hello_10", "hello_10", 0}, {"hello_10", "hello_9", 1},
		{"web:1.9.0", "web:1.10.0", -1}, {"a", "b", -1}, {"a", "a1", -1}, {"", "a", -1}, {"a01", "a1", 0}, {"9", "a", -1},
	} {
		if got := compareNames(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := compareNames(c.b, c.a); got != -c.want {
			t.Errorf("%q and %q: %d, want %d", c.b, c.a, got, -c.want)
		}
	}
}
