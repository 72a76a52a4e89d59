package proxy

import (
	"testing"
)

func TestRoutes(t *testing.T) {
	paths := []Route{
		{Host: "shop.example", Path: "/api"}, {Host: "shop.example", Path: "/api/v2/"}, {Host: "shop.example"},
		{Host: "*.example", Path: "/"}, {Host: "*.shop.example", Path: "/api"}, {Path: "/static"},
	}
	table := NewRoutes(paths)
	cases := []struct{ host, path, want string }{
		{"shop.example", "/", "shop.example "},
		{"shop.example", "/api", "shop.example /api"},
		{"shop.example", "/api/x", "shop.example /api"},
		{"shop.example", "/apix", "shop.example "},
		{"shop.example", "/api/v2", "shop.example /api/v2"},
		{"shop.example", "/api/v2/x", "shop.example /api/v2"},
		{"SHOP.example.:8080", "/api", "shop.example /api"},
		{"a.shop.example", "/api", "*.shop.example /api"},
		{"a.b.shop.example", "/api/", "*.shop.example /api"},
		{"a.shop.example", "/other", "*.example "},
		{"other.example", "/", "*.example "},
		{"example", "/", ""},
		{"example", "/static/x", " /static"},
		{"[::1]:80", "/static", " /static"},
		{"", "/", ""},
	}
	for _, c := range cases {
		got := ""
		if r := table.Match([]byte(c.host), []byte(c.path)); r != nil {
			got = r.Host + " " + r.Path
		}
		if got != c.want {
			t.Errorf("%s%s goes to %q, want %q", c.host, c.path, got, c.want)
		}
	}
	one := NewRoutes([]Route{{}})
	if one.Match([]byte("any.host"), []byte("/any")) == nil {
		t.Error("a backend without host and path matches everything")
	}
}

// seen sends what the backend was asked to the test.
