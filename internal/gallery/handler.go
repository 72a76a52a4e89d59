package gallery

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	v2 "github.com/distribution/distribution/v3/registry/api/v2"

	"github.com/droverhq/drover/internal/resource"
)

const (
	idleTimeout  = time.Minute      // without a byte in or out
	writeTimeout = 10 * time.Second // waiting for one of the requests that write to end
)

// Handler answers below /v2/.
func (g *Registry) Handler() http.Handler { return http.HandlerFunc(g.serve) }

func (g *Registry) serve(w http.ResponseWriter, r *http.Request) {
	caller, err := g.authenticate(r)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	route, ok := parseRoute(g.router, r)
	if !ok {
		g.fail(w, r, resource.Errorf(resource.CodeNotFound, "nothing is at %s", r.URL.Path))
		return
	}
	if err := authorize(caller, route, r.Method); err != nil {
		g.fail(w, r, err)
		return
	}
	ctx, note := withNote(r.Context())
	r = r.WithContext(ctx)
	control := http.NewResponseController(w)
	r.Body = &patientBody{r.Body, control}
	gate := &gate{ResponseWriter: w, control: control, note: note, registry: g, request: r}
	defer gate.done()
	if err := g.dispatch(gate, r, route, caller); err != nil && gate.status == 0 {
		gate.status = http.StatusOK // answered, by us
		g.fail(w, r, err)
	}
	if note.Load() != nil && route.upload != "" {
		g.dropUpload(ctx, route)
	}
}

// authenticate takes a token as Basic password, under any user name, or as bearer.
func (g *Registry) authenticate(r *http.Request) (Caller, error) {
	_, secret, ok := r.BasicAuth()
	if !ok {
		scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "bearer") {
			return nil, resource.Errorf(resource.CodeUnauthenticated, "a token is needed: log in with any user name and the token as password")
		}
		secret = strings.TrimSpace(credentials)
	}
	return g.options.Guard.Authenticate(r.Context(), secret)
}

func authorize(c Caller, rt route, method string) error {
	if rt.kind == v2.RouteNameBase || rt.kind == v2.RouteNameCatalog {
		return nil // the one says nothing, the other is filtered
	}
	if err := resource.ValidateImageName(rt.image); err != nil {
		return resource.Errorf(resource.CodeInvalid, "%v", err)
	}
	if need := rt.needs(method); !c.May(need, rt.image) {
		return resource.Errorf(resource.CodeForbidden, "%s may not %s image %s", c.Name(), need, rt.image)
	}
	return nil
}

// dispatch lets distribution do what has no rules of ours.
func (g *Registry) dispatch(w http.ResponseWriter, r *http.Request, rt route, c Caller) error {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case rt.kind == v2.RouteNameCatalog && read:
		return g.catalog(w, r, c)
	case rt.kind == v2.RouteNameManifest && r.Method == http.MethodPut:
		return g.writing(r, func() error { return g.putManifest(w, r, rt, c) })
	case rt.kind == v2.RouteNameManifest && r.Method == http.MethodDelete:
		return g.deleteManifest(w, r, rt, c)
	case rt.kind == v2.RouteNameManifest && read:
		if err := g.ensureRecorded(r.Context(), rt); err != nil {
			return err
		}
	case rt.kind == v2.RouteNameBlob && r.Method == http.MethodDelete:
		return resource.Errorf(resource.CodeUnsupported, "blobs cannot be deleted: delete versions, what nothing refers to is collected")
	case !read && r.Method != http.MethodDelete:
		prepareUpload(r, c)
		return g.writing(r, func() error { g.app.ServeHTTP(w, r); return nil })
	}
	g.app.ServeHTTP(w, r)
	return nil
}

// writing runs what adds to the registry: if there is space, and not too many at a time.
func (g *Registry) writing(r *http.Request, do func() error) error {
	if r.ContentLength > maxBlob {
		return errTooLarge
	}
	if err := g.driver.space.admit(max(r.ContentLength, 0)); err != nil {
		return err
	}
	wait := time.NewTimer(writeTimeout)
	defer wait.Stop()
	select {
	case g.slots <- struct{}{}:
	case <-wait.C:
		return resource.Errorf(resource.CodeTooManyRequests, "%d pushes are going on already", maxWrites)
	case <-r.Context().Done():
		return context.Cause(r.Context())
	}
	defer func() { <-g.slots }()
	return do()
}

// prepareUpload takes out of an upload's request what was not authorised. A blob
// of another image is mounted only for who may pull that one; else it is uploaded
// like any other. Distribution reads form bodies as if they were queries: none is one.
func prepareUpload(r *http.Request, c Caller) {
	q := r.URL.Query()
	for _, from := range q["from"] {
		if resource.ValidateImageName(from) != nil || !c.May(Pull, from) {
			q.Del("from")
			q.Del("mount")
			break
		}
	}
	r.URL.RawQuery = q.Encode()
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/octet-stream" {
		r.Header.Del("Content-Type")
	}
}

func (g *Registry) dropUpload(ctx context.Context, rt route) {
	err := g.driver.Delete(context.WithoutCancel(ctx), uploadPath(rt.image, rt.upload))
	if err != nil {
		g.options.Logger.Warn("remove an upload that was stopped", "image", rt.image, "err", err)
	}
}

// fail answers with an error, and logs it if it is ours.
func (g *Registry) fail(w http.ResponseWriter, r *http.Request, err error) {
	if status := forms[resource.CodeOf(err)].status; (status == 0 || status >= 500) && !errors.Is(err, context.Canceled) {
		g.options.Logger.Error("registry request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	refuse(w, err)
}

// patientBody waits for a slow client, not for a silent one.
type patientBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *patientBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(idleTimeout)) // only a test's writer has none
	return b.ReadCloser.Read(p)
}

// gate is the last to see an answer. One that the disk was too full for becomes
// a 507, whatever distribution made of it, and internal errors stay inside.
type gate struct {
	http.ResponseWriter
	control  *http.ResponseController
	note     *note
	registry *Registry
	request  *http.Request
	status   int
	instead  bool // something else was answered; what was to be is only logged
}

func (g *gate) Unwrap() http.ResponseWriter { return g.ResponseWriter }

func (g *gate) WriteHeader(status int) {
	if g.status != 0 {
		return
	}
	g.status = status
	_ = g.control.SetWriteDeadline(time.Now().Add(idleTimeout))
	stopped := g.note.Load()
	if stopped == nil && status != http.StatusInternalServerError {
		g.ResponseWriter.WriteHeader(status)
		return
	}
	g.instead = true
	for _, h := range []string{"Location", "Range", "Docker-Upload-UUID", "Docker-Content-Digest", "Etag"} {
		g.Header().Del(h)
	}
	if stopped != nil {
		refuse(g.ResponseWriter, stopped)
	} else {
		refuse(g.ResponseWriter, errors.New("internal"))
	}
}

func (g *gate) Write(p []byte) (int, error) {
	if g.status == 0 {
		g.WriteHeader(http.StatusOK)
	}
	if g.instead {
		if g.status == http.StatusInternalServerError {
			g.registry.options.Logger.Error("registry request failed", "method", g.request.Method, "path", g.request.URL.Path, "answer", string(p))
		}
		return len(p), nil
	}
	_ = g.control.SetWriteDeadline(time.Now().Add(idleTimeout))
	return g.ResponseWriter.Write(p)
}

// done gives the connection back without our deadline.
func (g *gate) done() {
	if g.status == 0 {
		g.WriteHeader(http.StatusOK)
	}
	_ = g.control.SetWriteDeadline(time.Time{})
}
