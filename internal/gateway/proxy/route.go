package proxy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/tally"
)

// Route sends what matches to a pool. An empty host or path matches everything.
type Route struct {
	Host string // exact, or *.host
	Path string // a prefix that ends at a "/"
	Pool *pool.Pool
	// Unserved counts requests that no member took.
	Unserved *tally.Counters
}

// Routes are matched by host (exact, then the longest *.host, then none), and
// within those by the longest path.
type Routes struct{ byHost map[string][]Route }

// NewRoutes makes the table.
func NewRoutes(list []Route) Routes {
	t := Routes{byHost: map[string][]Route{}}
	for _, r := range list {
		r.Path = strings.TrimSuffix(r.Path, "/")
		host := strings.TrimPrefix(r.Host, "*") // *.shop.example is kept as .shop.example
		t.byHost[host] = append(t.byHost[host], r)
	}
	for _, routes := range t.byHost {
		slices.SortStableFunc(routes, func(a, b Route) int { return cmp.Compare(len(b.Path), len(a.Path)) })
	}
	return t
}

// Match returns the route of a request, or nil.
func (t Routes) Match(host, path string) *Route {
	if len(t.byHost) == 1 {
		if routes, ok := t.byHost[""]; ok {
			return longest(routes, path)
		}
	}
	host = bareHost(host)
	for rest := host; rest != ""; {
		if r := longest(t.byHost[rest], path); r != nil {
			return r
		}
		// The next wildcard: .shop.example after www.shop.example, .example after that.
		i := strings.IndexByte(rest[1:], '.')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
	}
	return longest(t.byHost[""], path)
}

func longest(routes []Route, path string) *Route {
	for i := range routes {
		if prefix := routes[i].Path; strings.HasPrefix(path, prefix) &&
			(len(path) == len(prefix) || path[len(prefix)] == '/' || prefix == "") {
			return &routes[i]
		}
	}
	return nil
}

// bareHost is the host in lower case, without port and final dot.
func bareHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
