package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

const (
	// wrongTokenDelay and wrongTokensAtOnce bound how fast tokens can be tried.
	// Nobody is locked out: a valid token passes whatever others try.
	wrongTokenDelay   = 100 * time.Millisecond
	wrongTokensAtOnce = 32
	maxSecret         = 512
)

// gate lets in who has a valid token.
type gate struct {
	auth    Authenticator
	waiting chan struct{} // holds one for each refused request being delayed
}

func newGate(a Authenticator) *gate {
	return &gate{auth: a, waiting: make(chan struct{}, wrongTokensAtOnce)}
}

// enter authenticates the request and remembers who made it.
func (g *gate) enter(r *http.Request, c *call) error {
	secret, ok := bearer(r)
	if !ok {
		return resource.Errorf(resource.CodeUnauthenticated, "send a token as \"Authorization: Bearer TOKEN\"")
	}
	who, err := g.authenticate(r.Context(), secret)
	if err == nil {
		c.who, c.secret = who, secret
		return nil
	}
	if !resource.IsCode(err, resource.CodeUnauthenticated) {
		return err
	}
	return g.delay(r.Context(), err)
}

func (g *gate) authenticate(ctx context.Context, secret string) (Principal, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return g.auth.Authenticate(ctx, secret)
}

// stillIn asks again whether the token is valid: one that was revoked or has
// expired must not go on reading a stream that it opened before.
func (g *gate) stillIn(ctx context.Context, c *call) error {
	_, err := g.authenticate(ctx, c.secret)
	return err
}

// delay makes trying tokens slow, and refuses at once when too many are tried.
func (g *gate) delay(ctx context.Context, err error) error {
	select {
	case g.waiting <- struct{}{}:
	default:
		return resource.Errorf(resource.CodeTooManyRequests, "too many wrong tokens are being tried at once")
	}
	defer func() { <-g.waiting }()
	t := time.NewTimer(wrongTokenDelay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return err
}

// bearer returns the token that the request carries.
func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, secret, ok := strings.Cut(values[0], " ")
	secret = strings.TrimSpace(secret)
	return secret, ok && strings.EqualFold(scheme, "Bearer") && secret != "" && len(secret) <= maxSecret
}

// refuse answers a request that did not come through the gate.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch resource.CodeOf(err) {
	case resource.CodeUnauthenticated:
		s.meter.refused.Inc()
		w.Header().Set("WWW-Authenticate", `Bearer realm="drover"`)
	case resource.CodeTooManyRequests:
		s.meter.refused.Inc()
		w.Header().Set("Retry-After", "1")
	}
	s.writeProblem(w, r, err)
}
