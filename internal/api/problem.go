package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// Problem is an error as the API answers it: RFC 9457 with a stable code.
type Problem struct {
	Type   string                `json:"type" doc:"urn:drover:problem: and the code." example:"urn:drover:problem:not_found"`
	Title  string                `json:"title" doc:"What the code means."`
	Status int                   `json:"status" doc:"The HTTP status."`
	Detail string                `json:"detail,omitempty" doc:"What is wrong here, and what to do about it."`
	Code   resource.Code         `json:"code" doc:"Stable, for programs."`
	Errors []resource.FieldError `json:"errors,omitempty" doc:"Bad fields: a JSON pointer into the body, or /query/NAME, /header/NAME."`
}

var (
	_ huma.StatusError       = (*Problem)(nil)
	_ huma.ContentTypeFilter = (*Problem)(nil)
)

func (p *Problem) Error() string             { return p.Detail }
func (p *Problem) GetStatus() int            { return p.Status }
func (p *Problem) ContentType(string) string { return "application/problem+json" }

type meaning struct {
	status int
	title  string
}

// meaningOf is the table of codes. What is not in it is internal.
func meaningOf(c resource.Code) meaning {
	switch c {
	case resource.CodeInvalid:
		return meaning{http.StatusBadRequest, "The request is not valid"}
	case resource.CodeUnsupported:
		return meaning{http.StatusBadRequest, "Not yet supported"}
	case resource.CodeUnauthenticated:
		return meaning{http.StatusUnauthorized, "A valid token is needed"}
	case resource.CodeForbidden:
		return meaning{http.StatusForbidden, "The token does not allow this"}
	case resource.CodeNotFound:
		return meaning{http.StatusNotFound, "Not found"}
	case resource.CodeImageNotFound:
		return meaning{http.StatusNotFound, "There is no such image version"}
	case resource.CodeMethodNotAllowed:
		return meaning{http.StatusMethodNotAllowed, "The method does not fit the path"}
	case resource.CodeConflict:
		return meaning{http.StatusConflict, "In conflict with the present state"}
	case resource.CodeAlreadyExists:
		return meaning{http.StatusConflict, "It exists already"}
	case resource.CodeRolloutInProgress:
		return meaning{http.StatusConflict, "A rollout is running"}
	case resource.CodeModelKnownBad:
		return meaning{http.StatusConflict, "The model is known to be bad"}
	case resource.CodeNotRollbackable:
		return meaning{http.StatusConflict, "This rollout cannot be rolled back"}
	case resource.CodeInvalidPhase:
		return meaning{http.StatusConflict, "The rollout's phase does not allow this"}
	case resource.CodeVersionImmutable:
		return meaning{http.StatusConflict, "Versions never change"}
	case resource.CodeInUse:
		return meaning{http.StatusConflict, "It is in use"}
	case resource.CodeGone:
		return meaning{http.StatusGone, "Too far behind: list again"}
	case resource.CodeRevisionConflict:
		return meaning{http.StatusPreconditionFailed, "The document has changed"}
	case resource.CodeTooLarge:
		return meaning{http.StatusRequestEntityTooLarge, "The request is too large"}
	case resource.CodeTooManyRequests:
		return meaning{http.StatusTooManyRequests, "Too many requests"}
	case resource.CodeUnavailable:
		return meaning{http.StatusServiceUnavailable, "Not available at the moment"}
	case resource.CodeInsufficientStorage:
		return meaning{http.StatusInsufficientStorage, "No disk space is left"}
	}
	return meaning{http.StatusInternalServerError, "Internal error"}
}

func newProblem(e *resource.Error) *Problem {
	m := meaningOf(e.Code)
	code := e.Code
	if m.status == http.StatusInternalServerError {
		code = resource.CodeInternal
	}
	return &Problem{
		Type: "urn:drover:problem:" + string(code), Title: m.title, Status: m.status,
		Detail: e.Detail, Code: code, Errors: e.Fields,
	}
}

// problem is err as it is answered. What is not meant for clients is logged
// whole under an id; the client learns the id only.
func (s *Server) problem(ctx context.Context, err error) *Problem {
	coded := codedError(ctx, err)
	if coded == nil {
		coded = s.internal(ctx, err)
	}
	p := newProblem(coded)
	callOf(ctx).code = p.Code
	return p
}

func (s *Server) internal(ctx context.Context, err error) *resource.Error {
	id := rand.Text()
	s.log.ErrorContext(ctx, "request failed", slog.String("id", id), slog.String("route", callOf(ctx).what), slog.Any("error", err))
	return resource.Errorf(resource.CodeInternal, "the server's log has the cause under the id %s", id)
}

// codedError finds what a client may know of err, or nil.
func codedError(ctx context.Context, err error) *resource.Error {
	switch {
	case errors.Is(err, store.ErrNoSpace):
		return resource.Errorf(resource.CodeInsufficientStorage,
			"nothing was written: the file system of the data folder is full. Free space there; deletions, scale-in, cancel and rollback still work, and what runs goes on")
	case errors.Is(err, store.ErrTooOld):
		return resource.Errorf(resource.CodeGone, "the changes after that revision are no longer kept: list again and watch from there")
	}
	if e, ok := errors.AsType[*resource.Error](err); ok && meaningOf(e.Code).status != http.StatusInternalServerError {
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return resource.Errorf(resource.CodeUnavailable, "the server took too long; whether it was carried out is not known: read before you repeat it")
	case ctx.Err() != nil:
		return resource.Errorf(resource.CodeUnavailable, "the request was given up")
	}
	return nil
}

// writeProblem answers err outside of huma's operations.
func (s *Server) writeProblem(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problem(r.Context(), err)
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	// The client may be gone; there is nobody else to tell.
	_ = json.NewEncoder(w).Encode(p)
}

// humaProblem turns the errors that huma makes itself (a parameter that does not
// parse, a body that is too large) into ours.
func (s *Server) humaProblem(ctx huma.Context, m *huma.ErrorModel) *Problem {
	e := &resource.Error{Code: resource.CodeInvalid, Detail: m.Detail}
	switch {
	case m.Status == http.StatusRequestEntityTooLarge:
		e = tooLarge()
	case m.Status >= http.StatusInternalServerError:
		e = resource.Errorf(resource.CodeInvalid, "the body could not be read to its end")
	}
	for _, d := range m.Errors {
		pointer := "/" + strings.ReplaceAll(d.Location, ".", "/") // query.limit → /query/limit
		e.Fields = append(e.Fields, resource.FieldError{Pointer: pointer, Detail: d.Message})
	}
	p := newProblem(e)
	callOf(ctx.Context()).code = p.Code
	return p
}

func tooLarge() *resource.Error {
	return resource.Errorf(resource.CodeTooLarge, "the body is too large: a document may have %s, an apply %s", resource.Bytes(maxBody), resource.Bytes(maxApplyBody))
}
