package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// bodyTimeout is how long a client that uploads to the gallery may send nothing.
const bodyTimeout = time.Minute

type callKey struct{}

// call is what is known of one request. Only its own goroutine touches it.
type call struct {
	started time.Time
	what    string // the route's pattern: bounded, for metrics and logs
	who     Principal
	secret  string        // to ask again while a stream lasts
	code    resource.Code // of the problem answered
	dryRun  bool
	force   bool
	touched []string // documents that a write made or changed and that the path does not name
	stream  bool     // it lasts as long as its client wants
	control *http.ResponseController
}

// callOf returns the request's call. A context from elsewhere gets one that nobody looks at.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{what: "other"}
}

// limit gives the request its time. A deadline that an earlier request left on
// the connection is replaced.
func (c *call) limit(w http.ResponseWriter) {
	c.control = http.NewResponseController(w)
	// A connection without deadlines (a test's recorder) has no client that could be slow.
	_ = c.control.SetReadDeadline(c.started.Add(requestTimeout))
	_ = c.control.SetWriteDeadline(c.started.Add(requestTimeout + writeTimeout))
}

// roll replaces the request's one time limit by one for each piece, for uploads
// and downloads of any length.
func (c *call) roll(w *response, r *http.Request) {
	w.rolling = true
	if r.Body == nil || r.Body == http.NoBody {
		c.endless()
		return
	}
	_ = c.control.SetReadDeadline(time.Now().Add(bodyTimeout))
	r.Body = &rollingBody{ReadCloser: r.Body, control: c.control}
}

// endless lifts the limit on reading: there it only serves to notice that the
// client has gone, and a deadline that passes would look like that.
func (c *call) endless() { _ = c.control.SetReadDeadline(time.Time{}) }

type rollingBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *rollingBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(bodyTimeout))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// response remembers what was answered.
type response struct {
	http.ResponseWriter
	status  int
	rolling bool // every write gets its own deadline
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK { // 1xx come before the answer
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.rolling {
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// account counts and logs a finished request. Writes are always logged: they are the audit log.
func (s *Server) account(c *call, w *response, r *http.Request) {
	took := time.Since(c.started)
	status := w.status
	if status == 0 {
		status = http.StatusOK // net/http sends it for a handler that wrote nothing
	}
	s.meter.observe(r.Method, c, status, took)
	level, message := slog.LevelDebug, "request"
	if c.who != nil && r.Method != http.MethodGet && r.Method != http.MethodHead {
		level, message = slog.LevelInfo, "audit"
	}
	// The path has no secrets; the query might have one by mistake and is left out.
	attrs := []slog.Attr{
		slog.String("method", r.Method), slog.String("path", printable(r.URL.Path)), slog.String("route", c.what),
		slog.Int("status", status), slog.Duration("took", took), slog.String("from", r.RemoteAddr),
	}
	if c.who != nil {
		attrs = append(attrs, slog.String("who", c.who.String()))
	}
	if c.code != "" {
		attrs = append(attrs, slog.String("problem", string(c.code)))
	}
	if c.dryRun {
		attrs = append(attrs, slog.Bool("dryRun", true))
	}
	if c.force {
		attrs = append(attrs, slog.Bool("force", true))
	}
	if len(c.touched) > 0 {
		attrs = append(attrs, slog.Any("documents", c.touched))
	}
	s.log.LogAttrs(r.Context(), level, message, attrs...)
}

// printable keeps a path from faking log lines or filling the log.
func printable(p string) string {
	const most = 200
	if len(p) > most {
		p = p[:most] + "…"
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, p), "?")
}
