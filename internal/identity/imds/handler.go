package imds

import (
	"crypto/sha256"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	defaultRate    = 50 // requests a second of one instance
	approveTimeout = 10 * time.Second
	maxBody        = 64 << 10
)

// Options are what New needs.
type Options struct {
	Source Source
	// Rate is how many requests an instance may send in a second; 0: 50.
	Rate   float64
	Logger *slog.Logger // nil: nothing is logged
}

// Handler serves the endpoint below /SECRET. Serve it as it is, not through a mux:
// one that redirects to a cleaned path would send the secret back.
type Handler struct {
	source Source
	limits *limiter
	log    *slog.Logger
}

// New is inert; a Handler has nothing that needs an end.
func New(o Options) *Handler {
	if o.Rate <= 0 {
		o.Rate = defaultRate
	}
	return &Handler{source: o.Source, limits: newLimiter(o.Rate), log: logger(o.Logger)}
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// ServeHTTP answers a request whose path begins with an instance's secret.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secret, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	in, ok := h.source.BySecret(sha256.Sum256([]byte(secret)))
	h.serve(w, r, in, ok && secret != "", path)
}

// LinkLocal answers at an address of its own, without a secret in the path. The
// rate limit is shared: an instance has one, whichever way it asks.
func (h *Handler) LinkLocal(resolve Resolve) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, ok := h.caller(r.RemoteAddr, resolve)
		h.serve(w, r, in, ok, strings.TrimPrefix(r.URL.Path, "/"))
	})
}

func (h *Handler) caller(remote string, resolve Resolve) (Instance, bool) {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return Instance{}, false
	}
	name, ok := resolve(net.TCPAddrFromAddrPort(at))
	if !ok {
		return Instance{}, false
	}
	return h.source.ByName(name)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, in Instance, known bool, path string) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if !known {
		notFound().write(w)
		return
	}
	h.answer(r, in, path).write(w)
}

// answer goes through the rules that every category has, in the order in which a
// client that breaks several is told.
func (h *Handler) answer(r *http.Request, in Instance, path string) reply {
	if wait := h.limits.take(in.Name, time.Now()); wait > 0 {
		return tooMany(wait)
	}
	if bad := headers(r.Header); bad != "" {
		return badRequest(bad)
	}
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	c, ok := find(segments)
	if !ok {
		return notFound()
	}
	if !slices.Contains(c.methods, r.Method) {
		return notAllowed(c.methods)
	}
	params, bad := query(r.URL.RawQuery)
	if bad != "" {
		return badRequest(bad)
	}
	if c.versions != nil && !slices.Contains(c.versions, params["api-version"]) {
		return badVersion(c.versions)
	}
	return c.answer(h, request{r, in, params, segments[2:]})
}

// request is one that keeps the common rules.
type request struct {
	*http.Request
	from   Instance
	params map[string]string
	rest   []string // the path below the category
}

func (r request) version() string { return r.params["api-version"] }

// category is one of the endpoint's documents.
type category struct {
	name     string
	methods  []string
	versions []string // nil: needs no api-version
	deep     bool     // has paths below it
	answer   func(*Handler, request) reply
}

var categories = []category{
	{"instance", []string{http.MethodGet}, instanceVersions, true, (*Handler).instance},
	{"scheduledevents", []string{http.MethodGet, http.MethodPost}, eventVersions, false, (*Handler).scheduledEvents},
	{"versions", []string{http.MethodGet}, nil, false, (*Handler).versions},
}

// find takes paths in any case, as Azure's server does.
func find(segments []string) (category, bool) {
	if len(segments) < 2 || !strings.EqualFold(segments[0], "metadata") {
		return category{}, false
	}
	i := slices.IndexFunc(categories, func(c category) bool {
		return strings.EqualFold(c.name, segments[1]) && (c.deep || len(segments) == 2)
	})
	if i < 0 {
		return category{}, false
	}
	return categories[i], true
}

// headers says what is wrong with them. What is passed on by a server that was
// talked into it carries the one or lacks the other.
func headers(h http.Header) string {
	if _, forwarded := h["X-Forwarded-For"]; forwarded {
		return "X-Forwarded-For is not allowed"
	}
	values := h["Metadata"]
	isTrue := func(v string) bool { return strings.EqualFold(strings.TrimSpace(v), "true") }
	if len(values) == 0 || slices.ContainsFunc(values, func(v string) bool { return !isTrue(v) }) {
		return "Required metadata header not specified"
	}
	return ""
}

// query takes names in any case, and none twice.
func query(raw string) (params map[string]string, bad string) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, "The query string is malformed"
	}
	params = make(map[string]string, len(values))
	for name, v := range values {
		name = strings.ToLower(name)
		if _, twice := params[name]; twice || len(v) > 1 {
			return nil, "A query parameter is given more than once"
		}
		params[name] = v[0]
	}
	return params, ""
}

func (h *Handler) versions(request) reply {
	return document(struct {
		Versions []string `json:"apiVersions"`
	}{instanceVersions})
}
