package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

const (
	maxBody = 1 << 20
	// requestTimeout bounds everything that is not a stream.
	requestTimeout = 30 * time.Second
	// writeTimeout is how long a client may take to accept what was written.
	writeTimeout = 20 * time.Second
	// maxStreams bounds watches and followed logs, maxOwnStreams those of one token:
	// nobody takes them all.
	maxStreams    = 1000
	maxOwnStreams = maxStreams / 4
)

// Options are what the API stands on. The first group is needed.
type Options struct {
	Store         *store.Store
	Authenticator Authenticator
	Tokens        Tokens
	Fleet         Fleet
	Logs          Logs
	System        System
	Logger        *slog.Logger

	Version string
	// Address is where the API itself listens (HOST:PORT): no load balancer may.
	Address string

	// Writers and Deleters hold the rules of the kinds that have some of their own.
	Writers  map[string]Writer
	Deleters map[string]Deleter
	// Registry serves /v2/ and authenticates there. Absent: 404.
	Registry http.Handler
	// Instances acts on single instances. Absent: not yet supported.
	Instances Instances
	// Traffic gives the gateway's counters for /metrics. Absent: none.
	Traffic Traffic
	// HostFiles says which files of the machine documents may name. Absent: none.
	HostFiles HostFiles
	// Metrics collects what /metrics shows. Absent: one of its own.
	Metrics *prometheus.Registry
	// Heartbeat is how often a quiet watch says that it is alive; 0: 15 s.
	Heartbeat time.Duration
}

// Server is the API's http.Handler.
type Server struct {
	Options
	log      *slog.Logger
	mux      *http.ServeMux
	api      huma.API
	writers  map[string]Writer
	deleters map[string]Deleter
	meter    *meter
	gate     *gate
	pages    pages

	// streams ends when the server shuts down: watches would hold it up for ever.
	streams    context.Context
	endStreams context.CancelFunc
	slots      slots
}

// New builds the API. It starts nothing.
func New(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Heartbeat == 0 {
		o.Heartbeat = 15 * time.Second
	}
	s := &Server{Options: o, log: o.Logger, mux: http.NewServeMux(), gate: newGate(o.Authenticator)}
	s.streams, s.endStreams = context.WithCancel(context.Background())
	s.writers, s.deleters = s.allWriters(), s.allDeleters()
	s.meter = newMeter(s)
	s.api = s.newHuma()
	s.routes()
	s.finishSchemas()
	if err := s.renderPages(); err != nil {
		return nil, err
	}
	return s, nil
}

func (o Options) validate() error {
	needed := map[string]bool{
		"Store": o.Store != nil, "Authenticator": o.Authenticator != nil, "Tokens": o.Tokens != nil,
		"Fleet": o.Fleet != nil, "Logs": o.Logs != nil,
		"System": o.System != nil, "Logger": o.Logger != nil,
	}
	var missing []error
	for name, given := range needed {
		if !given {
			missing = append(missing, fmt.Errorf("build the API: Options.%s is needed", name))
		}
	}
	return errors.Join(missing...)
}

// Close ends watches and followed logs. Requests that come later get none.
func (s *Server) Close() { s.endStreams() }

// OpenAPI is the document that /openapi.json serves.
func (s *Server) OpenAPI() []byte { return s.pages.openapi }

// ServeHTTP is the front door: limits, authentication, and only then routing.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{started: time.Now(), what: "other"}
	out := &response{ResponseWriter: w}
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	defer s.account(c, out, r)
	defer s.recover(out, r)
	secureHeaders(w.Header())
	c.limit(out)

	switch {
	case isOpen(r):
		s.serveOpen(out, r, c)
		return
	case s.Registry != nil && isRegistry(r):
		c.what = "/v2/"
		c.roll(out, r)
		s.Registry.ServeHTTP(out, r)
		return
	}
	if err := s.gate.enter(r, c); err != nil {
		s.refuse(out, r, err)
		return
	}
	s.route(out, r, c)
}

// isOpen names what can be read without a token.
func isOpen(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.URL.Path == "/healthz" || r.URL.Path == "/readyz")
}

// isRegistry only matches clean paths: /v2/../api/v1/… is no way around the gate.
func isRegistry(r *http.Request) bool {
	p := r.URL.Path
	return (p == "/v2" || strings.HasPrefix(p, "/v2/")) && isClean(r)
}

// isClean refuses what ServeMux would redirect, and encoded dots and slashes
// that would mean something else to a handler that decodes them once more.
func isClean(r *http.Request) bool {
	p := r.URL.EscapedPath()
	if p == "" || p[0] != '/' || strings.Contains(p, "//") || strings.ContainsAny(r.URL.Path, "\\\x00") {
		return false
	}
	decoded := strings.TrimSuffix(r.URL.Path, "/")
	return decoded == "" || path.Clean(decoded) == decoded
}

// route serves an authenticated request.
func (s *Server) route(w http.ResponseWriter, r *http.Request, c *call) {
	if !isClean(r) {
		s.writeProblem(w, r, notHere(r))
		return
	}
	_, pattern := s.mux.Handler(r)
	if pattern != "" {
		c.what = pattern
	}
	if r.Method == http.MethodHead || pattern == "" {
		s.noRoute(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// noRoute answers 405 where another method would have found something, else 404.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := s.mux.Handler(other); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		s.writeProblem(w, r, notHere(r))
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.writeProblem(w, r, resource.Errorf(resource.CodeMethodNotAllowed, "%s does not fit here: use %s", r.Method, strings.Join(allowed, " or ")))
}

func notHere(r *http.Request) error {
	return resource.Errorf(resource.CodeNotFound, "there is nothing at %q: see /openapi.json for what there is", r.URL.Path)
}

func secureHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
}

// recover turns a panic into a 500, or into a broken answer where one had begun:
// half an answer must not look like a whole one.
func (s *Server) recover(w *response, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler || clientGone(r, v) {
		panic(http.ErrAbortHandler)
	}
	err := fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	if w.status != 0 {
		s.internal(r.Context(), err)
		panic(http.ErrAbortHandler)
	}
	s.writeProblem(w, r, err)
}

// clientGone says whether a panic only means that an answer could not be written.
func clientGone(r *http.Request, v any) bool {
	err, ok := v.(error)
	return ok && (r.Context().Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET))
}
