package imagepush

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/droverhq/drover/internal/resource"
)

// Server is where to push to and as whom.
type Server struct {
	URL       string            // http(s)://HOST[:PORT]; for a unix socket any host that Transport takes
	Transport http.RoundTripper // nil: http.DefaultTransport
	Token     string
}

// Push sends an image to the server's registry under NAME:TAG and returns its
// digest once the server has it on disk. progress may be nil; it is called from
// one goroutine with the bytes that the server has of those there are.
func Push(ctx context.Context, s Server, ref string, img v1.Image, progress func(done, total int64)) (string, error) {
	base, err := url.Parse(s.URL)
	if err != nil || base.Host == "" {
		return "", fmt.Errorf("server %q: want http(s)://HOST:PORT", s.URL)
	}
	tag, err := parseTag(ref)
	if err != nil {
		return "", err
	}
	digest, err := img.Digest()
	if err != nil {
		return "", fmt.Errorf("compute the digest of %s: %w", ref, err)
	}
	next := s.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	options := []remote.Option{
		remote.WithContext(ctx),
		remote.WithTransport(&authorized{next: next, base: base, token: s.Token}),
		remote.WithJobs(2),
	}
	if err := write(tag, img, options, progress); err != nil {
		return "", explain(ref, err)
	}
	return digest.String(), nil
}

// write pushes and passes the progress on until there is none left.
func write(tag name.Tag, img v1.Image, options []remote.Option, progress func(done, total int64)) error {
	if progress == nil {
		return remote.Write(tag, img, options...)
	}
	updates := make(chan v1.Update, 64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for u := range updates {
			if u.Error == nil {
				progress(u.Complete, u.Total)
			}
		}
	}()
	err := remote.Write(tag, img, append(options, remote.WithProgress(updates))...)
	<-done // Write has closed updates
	return err
}

// host stands for the server in the library's URLs: authorized puts the real one
// in. With a name that is no address the library neither guesses the scheme nor
// takes credentials from the user's Docker configuration.
const host = "drover.invalid"

func parseTag(ref string) (name.Tag, error) {
	image, tag, found := strings.Cut(ref, ":")
	if err := resource.ValidateImageName(image); err != nil {
		return name.Tag{}, resource.Errorf(resource.CodeInvalid, "image %q: %v", ref, err)
	}
	if !found {
		return name.Tag{}, resource.Errorf(resource.CodeInvalid, "image %q needs a version: write %s:Major.Minor.Patch", ref, image)
	}
	t, err := name.NewTag(host+"/"+ref, name.StrictValidation)
	if err != nil {
		return name.Tag{}, resource.Errorf(resource.CodeInvalid, "image %q: %q is neither a version nor a tag", ref, tag)
	}
	return t, nil
}

// authorized sends requests to the server, with the token, and to nobody else.
type authorized struct {
	next  http.RoundTripper
	base  *url.URL
	token string
}

func (a *authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != host && req.URL.Host != a.base.Host {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, fmt.Errorf("the server points to %s, where the token must not go", req.URL.Host)
	}
	sent := req.Clone(req.Context())
	sent.URL.Scheme, sent.URL.Host, sent.Host = a.base.Scheme, a.base.Host, a.base.Host
	if a.token != "" {
		sent.Header.Set("Authorization", "Bearer "+a.token)
	}
	if req.Body != nil {
		// A server that refuses (no space, no permission) answers before the layer is sent.
		sent.Header.Set("Expect", "100-continue")
	}
	resp, err := a.next.RoundTrip(sent)
	if err != nil {
		return nil, err
	}
	resp.Request = req
	return resp, nil
}

// explain turns the registry's answer into a coded error.
func explain(ref string, err error) error {
	failed, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return fmt.Errorf("push %s: %w", ref, err)
	}
	detail := http.StatusText(failed.StatusCode)
	switch {
	case len(failed.Errors) > 0:
		detail = failed.Errors[0].Message
	case failed.StatusCode == http.StatusUnauthorized: // a HEAD's answer has no text
		detail = "the token is not known, was revoked or has expired"
	case failed.StatusCode == http.StatusForbidden:
		detail = "the token may not do this"
	}
	return resource.Errorf(codeOf(failed), "push %s: %s", ref, detail)
}

// codeOf is the code that a Drover server puts into the answer's detail, else
// what the status says.
func codeOf(failed *transport.Error) resource.Code {
	for _, e := range failed.Errors {
		if detail, ok := e.Detail.(map[string]any); ok {
			if code, ok := detail["code"].(string); ok {
				return resource.Code(code)
			}
		}
	}
	return resource.CodeOfStatus(failed.StatusCode)
}
