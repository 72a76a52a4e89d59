package gallery

import (
	"net/http"
	"path"
	"strings"

	v2 "github.com/distribution/distribution/v3/registry/api/v2"
	"github.com/gorilla/mux"

	"github.com/droverhq/drover/internal/resource"
)

// route is what a request is about. It is read by the same router that
// distribution dispatches with, so that what was authorised is what is done.
type route struct {
	kind      string // v2.RouteName…
	image     string // empty: base and catalog
	reference string // of a manifest: a tag or a digest
	upload    string
}

func parseRoute(router *mux.Router, r *http.Request) (route, bool) {
	// Distribution would redirect an unclean path; here it is nothing.
	if p := r.URL.Path; path.Clean(p) != strings.TrimSuffix(p, "/") {
		return route{}, false
	}
	var match mux.RouteMatch
	if !router.Match(r, &match) || match.Route == nil {
		return route{}, false
	}
	return route{
		kind:      match.Route.GetName(),
		image:     match.Vars["name"],
		reference: match.Vars["reference"],
		upload:    match.Vars["uuid"],
	}, true
}

// byDigest reports whether a manifest is meant by its content and not by a tag.
func (r route) byDigest() bool { return strings.Contains(r.reference, ":") }

// version is the reference as a version; what only looks like one (01.2.3) is a plain tag.
func (r route) version() (resource.Version, bool) {
	if r.kind != v2.RouteNameManifest {
		return resource.Version{}, false
	}
	v, err := resource.ParseVersion(r.reference)
	return v, err == nil
}

// needs says what a caller must be allowed to do with the image for that method.
func (r route) needs(method string) Action {
	switch {
	case method == http.MethodGet || method == http.MethodHead:
		if r.upload != "" {
			return Push // how far somebody's upload is
		}
		return Pull
	case method == http.MethodDelete && r.kind != v2.RouteNameBlobUploadChunk:
		return Delete
	}
	return Push
}
