package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/droverhq/drover/internal/resource"
)

const apiPrefix = "/api/v1"

// newHuma sets up the router and the OpenAPI document.
func (s *Server) newHuma() huma.API {
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Drover", Version: s.Version,
				Description: "Documents with revisions and watches, and the actions on them.",
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry(schemaPrefix, schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer", Description: "A token, as `drover token create` prints it."},
				},
			},
			Security: []map[string][]string{{"bearer": {}}},
		},
		Formats:                      huma.DefaultFormats,
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{s.transform},
	}
	config.FieldsOptionalByDefault = true
	a := humago.New(s.mux, config)
	a.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) { next(&answer{embedded: ctx}) })
	return a
}

// embedded is huma.Context under a name that does not hide its method Context.
type embedded huma.Context

// answer lets an error that huma made be answered with the status that our table has for it.
type answer struct {
	embedded
	problem *Problem
}

func (a *answer) Unwrap() huma.Context { return a.embedded }

func (a *answer) SetStatus(status int) {
	if a.problem != nil {
		status = a.problem.Status
	}
	a.embedded.SetStatus(status)
}

func (s *Server) transform(ctx huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := s.humaProblem(ctx, m)
	if a, ok := ctx.(*answer); ok {
		a.problem = p
	}
	return p, nil
}

func (s *Server) routes() {
	for _, k := range resource.Kinds {
		s.routeKind(k)
	}
	s.routeApply()
	s.routeTokens()
	s.routeRollouts()
	s.routeInstances()
	s.routeSystem()
	s.routePages()
}

// register adds an operation that ends by itself in requestTimeout.
func register[I, O any](s *Server, op huma.Operation, fn func(context.Context, *I) (*O, error)) {
	huma.Register(s.api, s.complete(op), func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		out, err := fn(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}

// registerStream adds an operation that writes its answer itself. What fn
// returns runs once everything that can be refused was checked.
func registerStream[I any](s *Server, op huma.Operation, fn func(context.Context, *I) (func(huma.Context), error)) {
	huma.Register(s.api, s.complete(op), func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		body, err := fn(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return &huma.StreamResponse{Body: body}, nil
	})
}

// complete adds the answers that every operation can give. Those in Errors are its own.
func (s *Server) complete(op huma.Operation) huma.Operation {
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	schema := s.schemaOf(&Problem{})
	everywhere := []int{400, 401, 403, 429, 500, 503}
	for _, status := range append(everywhere, op.Errors...) {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: schema}},
		}
	}
	op.Errors = nil
	op.SkipValidateBody = true // bodies are decoded here, with better words
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = maxBody + 1 // huma refuses what has that size, not what is larger
	}
	if op.DefaultStatus == 0 {
		op.DefaultStatus = http.StatusOK
	}
	return op
}

// allow refuses what the caller's role or scope does not cover. It looks at the
// name alone: whether the document exists is nobody's business before that.
func allow(ctx context.Context, v Verb, kind, name string) error {
	d := resource.Document{Meta: resource.Meta{Kind: kind, Name: name}}
	if who := callOf(ctx).who; who != nil && who.May(v, kind, name, resource.OwnerOf(d)) {
		return nil
	}
	if kind == "" {
		return resource.Errorf(resource.CodeForbidden, "this needs the role Owner without a scope")
	}
	return resource.Errorf(resource.CodeForbidden, "the token's role or scope does not cover this: %s %s %s", v, kind, printable(name))
}

// validName refuses names that no document can have, before they get anywhere.
func validName(kind, name string) error {
	if err := resource.ValidateNameOf(kind, name); err != nil {
		return resource.Errorf(resource.CodeInvalid, "%v", err) // it quotes the name and says how one is written
	}
	return nil
}

// may is allow for a name from the URL.
func may(ctx context.Context, v Verb, kind, name string) error {
	if err := validName(kind, name); err != nil {
		return err
	}
	return allow(ctx, v, kind, name)
}
