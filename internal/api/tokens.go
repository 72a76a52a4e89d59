package api

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/droverhq/drover/internal/resource"
)

type tokenBody struct {
	Name    string        `json:"name,omitempty" doc:"Absent: made up."`
	Role    resource.Role `json:"role" required:"true"`
	Scopes  []string      `json:"scopes,omitempty" doc:"image/NAME or scaleset/NAME, with * at the end; none: everything."`
	Expires string        `json:"expires,omitempty" example:"720h" doc:"A duration from now or a time (RFC 3339); absent: when it is revoked."`
}

// NewToken is a token with its secret, which is told this once and kept nowhere.
type NewToken struct {
	Token  resource.Document `json:"token"`
	Secret string            `json:"secret"`
}

type tokenInput struct {
	RawBody []byte `contentType:"application/json"`
}

type tokenOutput struct {
	Location string `header:"Location"`
	Body     NewToken
}

func (s *Server) routeTokens() {
	path := apiPrefix + "/tokens"
	register(s, huma.Operation{
		OperationID: "createToken", Method: http.MethodPost, Path: path, Tags: []string{resource.KindToken},
		Summary: "Make a token; its secret is answered this once", DefaultStatus: http.StatusCreated, Errors: []int{409, 413, 507},
	}, s.createToken)
	s.setBody(path, http.MethodPost, s.schemaOf(tokenBody{}))
}

func (s *Server) createToken(ctx context.Context, in *tokenInput) (*tokenOutput, error) {
	var body tokenBody
	if err := decodeBody(in.RawBody, &body); err != nil {
		return nil, err
	}
	if body.Name == "" {
		body.Name = "token-" + strings.ToLower(rand.Text()[:10])
	}
	if err := resource.ValidateNameOf(resource.KindToken, body.Name); err != nil {
		return nil, badField("/name", err.Error())
	}
	if err := allow(ctx, VerbWrite, resource.KindToken, body.Name); err != nil {
		return nil, err
	}
	spec := resource.TokenSpec{Role: body.Role, Scopes: body.Scopes}
	var err error
	if spec.Expires, err = parseExpiry(body.Expires, time.Now()); err != nil {
		return nil, err
	}
	c := callOf(ctx)
	c.touched = []string{resource.KindToken + " " + body.Name}
	secret, token, err := s.Tokens.Create(ctx, c.who, body.Name, spec)
	if err != nil {
		return nil, err
	}
	d, err := token.Document()
	if err != nil {
		return nil, err
	}
	return &tokenOutput{Location: apiPrefix + "/tokens/" + d.Name, Body: NewToken{Token: visible(d), Secret: secret}}, nil
}

// parseExpiry reads a time, or a duration from now.
func parseExpiry(text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		at = at.UTC()
		return &at, nil
	}
	d, err := resource.ParseDuration(text)
	if err != nil || d == 0 {
		return nil, badField("/expires", "write a duration, for example 720h, or a time, for example 2030-01-31T00:00:00Z")
	}
	at := now.Add(time.Duration(d)).UTC().Truncate(time.Second)
	return &at, nil
}
