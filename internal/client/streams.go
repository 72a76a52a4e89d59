package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// LogOptions say which part of a log is wanted.
type LogOptions struct {
	Follow bool
	Tail   int // lines; negative: all
}

// Logs streams what an instance wrote. The stream ends with the log, or, when
// followed, with ctx. One that breaks off ends with an error.
func (c *Client) Logs(ctx context.Context, instance string, o LogOptions) (io.ReadCloser, error) {
	query := url.Values{}
	if o.Follow {
		query.Set("follow", "true")
	}
	if o.Tail >= 0 {
		query.Set("tail", strconv.Itoa(o.Tail))
	}
	return c.stream(ctx, request{method: http.MethodGet, path: []string{"instances", instance, "logs"}, query: query})
}

// Backup streams a backup of documents, keys and gallery.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	return c.stream(ctx, request{method: http.MethodGet, path: []string{"backup"}})
}

func (c *Client) stream(ctx context.Context, r request) (io.ReadCloser, error) {
	resp, err := c.open(ctx, r)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
