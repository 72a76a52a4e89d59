package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/droverhq/drover/internal/client/imagepush"
	"github.com/droverhq/drover/internal/resource"
)

// PushImage sends an image to the server's gallery as NAME:M.m.p and returns
// once the server has it on disk. progress may be nil; it is called with the
// bytes that the server has of those there are.
func (c *Client) PushImage(ctx context.Context, ref string, img v1.Image, progress func(done, total int64)) error {
	s := imagepush.Server{URL: c.target.base.String(), Transport: authorized{c}}
	_, err := imagepush.Push(ctx, s, ref, img, progress)
	if coded, ok := errors.AsType[*resource.Error](err); ok {
		return coded // without the library's words around it
	}
	return err
}

// authorized sends requests to the client's server, as its user, and to nobody else.
type authorized struct{ c *Client }

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != a.c.target.base.Scheme || r.URL.Host != a.c.target.base.Host {
		return nil, a.refuse(r, fmt.Errorf("%s is not the server %s", r.URL.Host, a.c.target))
	}
	token, err := a.c.token.get(r.Context())
	if err != nil {
		return nil, a.refuse(r, err)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("User-Agent", a.c.userAgent)
	return a.c.transport.RoundTrip(r)
}

// refuse does not send r: a transport closes its body all the same.
func (authorized) refuse(r *http.Request, err error) error {
	if r.Body == nil {
		return err
	}
	return errors.Join(err, r.Body.Close())
}
