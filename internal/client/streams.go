package client

import (
	"context"
	"io"
	"net/http"
)

// Backup streams a backup of documents, keys and gallery. One that breaks off
// ends with an error.
func (c *Client) Backup(ctx context.Context) (io.ReadCloser, error) {
	resp, err := c.open(ctx, request{method: http.MethodGet, path: []string{"backup"}})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
