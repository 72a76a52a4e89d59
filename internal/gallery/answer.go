package gallery

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"

	"github.com/droverhq/drover/internal/resource"
)

// form is how a coded error is told to OCI clients, whose error codes are few.
type form struct {
	status int
	code   string
}

var forms = map[resource.Code]form{
	resource.CodeUnauthenticated:     {http.StatusUnauthorized, "UNAUTHORIZED"},
	resource.CodeForbidden:           {http.StatusForbidden, "DENIED"},
	resource.CodeNotFound:            {http.StatusNotFound, "MANIFEST_UNKNOWN"},
	resource.CodeImageNotFound:       {http.StatusNotFound, "MANIFEST_UNKNOWN"},
	resource.CodeInvalid:             {http.StatusBadRequest, "MANIFEST_INVALID"},
	resource.CodeUnsupported:         {http.StatusMethodNotAllowed, "UNSUPPORTED"},
	resource.CodeVersionImmutable:    {http.StatusConflict, "DENIED"},
	resource.CodeInUse:               {http.StatusConflict, "DENIED"},
	resource.CodeConflict:            {http.StatusConflict, "DENIED"},
	resource.CodeTooLarge:            {http.StatusRequestEntityTooLarge, "SIZE_INVALID"},
	resource.CodeTooManyRequests:     {http.StatusTooManyRequests, "TOOMANYREQUESTS"},
	resource.CodeInsufficientStorage: {http.StatusInsufficientStorage, "INSUFFICIENT_STORAGE"},
	resource.CodeUnavailable:         {http.StatusServiceUnavailable, "UNAVAILABLE"},
}

type ociErrors struct {
	Errors []ociError `json:"errors"`
}

type ociError struct {
	Code    string            `json:"code"`
	Message string            `json:"message"`
	Detail  map[string]string `json:"detail,omitempty"`
}

// refuse answers with an error in OCI's form; detail.code is Drover's own.
func refuse(w http.ResponseWriter, err error) {
	code, message := resource.CodeOf(err), err.Error()
	f, ok := forms[code]
	if !ok {
		f, code, message = form{http.StatusInternalServerError, "UNKNOWN"}, resource.CodeInternal, "internal error: see the server's log"
	}
	body, _ := json.Marshal(ociErrors{[]ociError{{f.code, message, map[string]string{"code": string(code)}}}}) // strings: cannot fail
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Docker-Distribution-API-Version", "registry/2.0")
	h.Set("X-Content-Type-Options", "nosniff")
	switch code {
	case resource.CodeUnauthenticated:
		h.Set("WWW-Authenticate", `Basic realm="drover", charset="UTF-8"`)
	case resource.CodeTooManyRequests:
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // who has gone does not read it
}

// held is an answer that is looked at before it is given.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newHeld() *held { return &held{header: http.Header{}} }

func (h *held) Header() http.Header { return h.header }

func (h *held) WriteHeader(status int) {
	if h.status == 0 {
		h.status = status
	}
}

func (h *held) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(p)
}

func (h *held) give(w http.ResponseWriter) {
	maps.Copy(w.Header(), h.header)
	w.WriteHeader(h.status)
	_, _ = w.Write(h.body.Bytes())
}
