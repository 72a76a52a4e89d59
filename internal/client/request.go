package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

const (
	maxAnswer  = 64 << 20 // a page of documents
	maxProblem = 1 << 20
	maxTries   = 3 // of a GET whose connection broke
)

// request is one call of the API.
type request struct {
	method string
	path   []string // segments below /api/v1, not yet escaped
	query  url.Values
	header http.Header
	body   any
}

func (c *Client) url(r request) string {
	var b strings.Builder
	b.WriteString(c.target.base.String())
	b.WriteString("/api/v1")
	for _, segment := range r.path {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(segment)) // an image's name may hold a "/"
	}
	if len(r.query) > 0 {
		b.WriteByte('?')
		b.WriteString(r.query.Encode())
	}
	return b.String()
}

// call sends r and decodes the answer into out, unless that is nil. It returns the answer's status and header.
func (c *Client) call(ctx context.Context, r request, out any) (*http.Response, error) {
	late := resource.Errorf(resource.CodeUnavailable, "%s: no answer in time%s", c.what(r), doubt(r))
	ctx, cancel := context.WithTimeoutCause(ctx, requestTimeout, late)
	defer cancel()
	resp, err := c.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := readLimited(resp.Body, maxAnswer)
	if err != nil {
		return nil, c.half(ctx, r, err)
	}
	if out == nil || len(body) == 0 {
		return resp, nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return nil, fmt.Errorf("the answer of %s is not what was asked for: %w", c.target, err)
	}
	return resp, nil
}

// open sends r and returns a successful answer, whose body the caller closes. A
// refusal is a *resource.Error.
func (c *Client) open(ctx context.Context, r request) (*http.Response, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
	}
	for try := 1; ; try++ {
		resp, err := c.once(ctx, r, body)
		if err == nil {
			return accept(resp)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if r.method != http.MethodGet || try == maxTries || !broken(err) {
			return nil, c.explain(r, err)
		}
		select {
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (c *Client) once(ctx context.Context, r request, body []byte) (*http.Response, error) {
	token, err := c.token.get(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.url(r), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", c.userAgent)
	return c.http.Do(req)
}

// broken says that the connection ended before an answer came. A server that
// could not be reached at all was tried for long enough by the dialer.
func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// explain turns an error of the HTTP library into one that says what is known.
func (c *Client) explain(r request, err error) error {
	if coded, ok := errors.AsType[*resource.Error](err); ok {
		return coded // ours, from the dialer
	}
	u, ok := errors.AsType[*url.Error](err)
	if !ok {
		return err
	}
	if bad := explainTLS(u.Err); bad != nil {
		return fmt.Errorf("connect to %s: %w", c.target, bad)
	}
	return resource.Errorf(resource.CodeUnavailable, "%s: %v%s", c.what(r), u.Err, doubt(r))
}

// what names a request in an error, without its query.
func (c *Client) what(r request) string {
	return fmt.Sprintf("%s %s at %s", r.method, strings.Join(r.path, "/"), c.target)
}

// doubt is what an error says of a request that may have been carried out.
func doubt(r request) string {
	if r.method == http.MethodGet {
		return ""
	}
	return "; whether it was carried out is not known"
}

// half is the error of an answer that was not read to its end. A connection that
// broke is a server that may be back in a moment.
func (c *Client) half(ctx context.Context, r request, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errTooLong):
		return fmt.Errorf("read the answer of %s: %w", c.target, err)
	}
	return resource.Errorf(resource.CodeUnavailable, "%s: the answer broke off: %v%s", c.what(r), err, doubt(r))
}

var errTooLong = errors.New("it is too long")

// readLimited reads at most limit bytes and says so when there are more.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%w: more than %d bytes", errTooLong, limit)
	}
	return b, err
}
