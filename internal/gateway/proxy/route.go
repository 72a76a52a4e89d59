package proxy

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/internal/gateway/pool"
	"github.com/droverhq/drover/internal/gateway/tally"
)

// Route sends what matches to a pool. An empty host or path matches everything.
type Route struct {
	Host string // exact, or *.host
	Path string // a prefix that ends at a "/"
	Pool *pool.Pool
	Set  string // whose pool it is; empty: fixed addresses
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

// Match returns the route of a request, or nil. The path has no escapes.
func (t Routes) Match(host, path []byte) *Route {
	if len(t.byHost) == 1 {
		if routes, ok := t.byHost[""]; ok {
			return longest(routes, path)
		}
	}
	var lower [maxHost]byte
	for rest := bareHost(lower[:0], host); len(rest) > 0; {
		if r := longest(t.byHost[string(rest)], path); r != nil {
			return r
		}
		// The next wildcard: .shop.example after www.shop.example, .example after that.
		i := bytes.IndexByte(rest[1:], '.')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
	}
	return longest(t.byHost[""], path)
}

func longest(routes []Route, path []byte) *Route {
	for i := range routes {
		if n := len(routes[i].Path); len(path) >= n && string(path[:n]) == routes[i].Path &&
			(len(path) == n || path[n] == '/' || n == 0) {
			return &routes[i]
		}
	}
	return nil
}

// maxHost is longer than any name that DNS has.
const maxHost = 256

// bareHost appends the host in lower case, without port and final dot. What is
// too long to be a name is none.
func bareHost(to, host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && !bytes.HasSuffix(host, []byte("]")) {
		host = host[:i]
	}
	host = bytes.TrimSuffix(host, []byte("."))
	if len(host) > maxHost {
		return nil
	}
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

// unescape appends a path without its escapes, which are well formed.
func unescape(to, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			n, _ := strconv.ParseUint(string(path[i+1:i+3]), 16, 8)
			c, i = byte(n), i+2
		}
		to = append(to, c)
	}
	return to
}
