package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// TestCodes answers every code with the status that documents promise.
func TestCodes(t *testing.T) {
	e := newEnv(t)
	e.put(doc(resource.KindScaleSet, "hello", `{"image":"hello:1.0.0"}`, `{}`))
	for code, status := range map[resource.Code]int{
		resource.CodeInvalid: 400, resource.CodeUnsupported: 400, resource.CodeForbidden: 403,
		resource.CodeNotFound: 404, resource.CodeImageNotFound: 404, resource.CodeConflict: 409, resource.CodeAlreadyExists: 409,
		resource.CodeRolloutInProgress: 409, resource.CodeModelKnownBad: 409, resource.CodeNotRollbackable: 409,
		resource.CodeInvalidPhase: 409, resource.CodeVersionImmutable: 409, resource.CodeInUse: 409,
		resource.CodeRevisionConflict: 412, resource.CodeTooLarge: 413, resource.CodeTooManyRequests: 429,
		resource.CodeInternal: 500, resource.CodeUnavailable: 503, resource.CodeInsufficientStorage: 507,
	} {
		e.ports.fail = fmt.Errorf("put the set: %w", &resource.Error{Code: code, Detail: "why", Fields: []resource.FieldError{{Pointer: "/spec/x", Detail: "y"}}})
		r := e.want(status, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, scaleSet("hello")))
		p := e.wantCode(code, r)
		if code != resource.CodeInternal && (p.Detail != "why" || len(p.Errors) != 1) {
			t.Errorf("%s: %+v", code, p)
		}
	}
}

func TestFullDiskSaysWhatToDo(t *testing.T) {
	e := newEnv(t)
	e.ports.fail = fmt.Errorf("put the set: %w", store.ErrNoSpace)
	p := e.wantCode(resource.CodeInsufficientStorage, e.want(507, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, scaleSet("hello"))))
	if !strings.Contains(p.Detail, "nothing was written") || !strings.Contains(p.Detail, "Free space") {
		t.Errorf("detail %q", p.Detail)
	}
}

func TestInternalErrorsAreNotShown(t *testing.T) {
	e := newEnv(t)
	e.put(doc(resource.KindScaleSet, "hello", `{"image":"hello:1.0.0"}`, `{}`))
	e.ports.fail = errBoom
	r := e.want(500, e.do("PUT", "/api/v1/scalesets/hello", ownerToken, scaleSet("hello")))
	p := e.wantCode(resource.CodeInternal, r)
	if strings.Contains(string(r.body), "hunter2") {
		t.Errorf("the cause is shown: %s", r.body)
	}
	id := p.Detail[strings.LastIndexByte(p.Detail, ' ')+1:]
	if log := e.logs.String(); !strings.Contains(log, id) || !strings.Contains(log, "boom") {
		t.Errorf("the log does not have the cause under %q", id)
	}
}

type panics struct{}

func (panics) ServeHTTP(http.ResponseWriter, *http.Request) { panic("oh no") }

func TestPanicIsA500(t *testing.T) {
	e := newEnv(t, func(o *Options) { o.Registry = panics{} })
	e.wantCode(resource.CodeInternal, e.do("GET", "/v2/", "", ""))
	if log := e.logs.String(); !strings.Contains(log, "oh no") || !strings.Contains(log, "ServeHTTP") {
		t.Error("the log does not have the panic with its stack")
	}
	e.want(200, e.do("GET", "/healthz", "", ""))
}

func TestAuditLog(t *testing.T) {
	e := newEnv(t)
	e.do("PUT", "/api/v1/scalesets/hello?force=true&sig=s3cret", ownerToken, scaleSet("hello"))
	e.do("PUT", "/api/v1/scalesets/hello?force=true", ownerToken, scaleSet("hello"))
	e.do("DELETE", "/api/v1/scalesets/hello", readerToken, "")
	e.do("GET", "/api/v1/scalesets/hello", readerToken, "")
	e.do("POST", "/api/v1/apply", ownerToken, "["+scaleSet("hello")+","+scaleSet("other")+"]")
	type line struct {
		Msg, Who, Method, Path string
		Code                   string `json:"problem"`
		Status                 int
		Force                  bool
		Documents              []string
	}
	var got []line
	for text := range strings.Lines(e.logs.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if l.Msg == "audit" {
			got = append(got, l)
		}
	}
	want := []line{
		{"audit", "root", "PUT", "/api/v1/scalesets/hello", "invalid", 400, false, nil},
		{"audit", "root", "PUT", "/api/v1/scalesets/hello", "", 201, true, nil},
		{"audit", "ro", "DELETE", "/api/v1/scalesets/hello", "forbidden", 403, false, nil},
		{"audit", "root", "POST", "/api/v1/apply", "", 200, false, []string{"ScaleSet other"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("audit:\n%+v, want\n%+v", got, want)
	}
	if strings.Contains(e.logs.String(), "s3cret") {
		t.Error("a query is in the log")
	}
}
