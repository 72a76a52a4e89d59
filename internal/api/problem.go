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

func newProblem(e *resource.Error) *Problem {
	code := e.Code
	if code.Status() == http.StatusInternalServerError {
		code = resource.CodeInternal // also one that the table does not have
	}
	return &Problem{
		Type: "urn:drover:problem:" + string(code), Title: code.Title(), Status: code.Status(),
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
	if e, ok := errors.AsType[*resource.Error](err); ok && e.Code.Status() != http.StatusInternalServerError {
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
