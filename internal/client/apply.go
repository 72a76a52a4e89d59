package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Action is what an apply does to a document.
type Action string

const (
	ActionCreate    Action = "create"
	ActionUpdate    Action = "update"
	ActionUnchanged Action = "unchanged"
)

// Outcome is what applying one document did, or in a dry run would do.
type Outcome struct {
	Kind     string   `json:"kind"`
	Name     string   `json:"name"`
	Action   Action   `json:"action"`
	Changes  []Field  `json:"changes"`
	Rollout  bool     `json:"rollout"` // it starts a rollout
	Warnings []string `json:"warnings"`
}

// Field is one difference, by JSON pointer. An absent value is nil.
type Field struct {
	Pointer string `json:"pointer"`
	From    any    `json:"from,omitempty"`
	To      any    `json:"to,omitempty"`
}

// ApplyOptions say how to apply.
type ApplyOptions struct {
	DryRun bool // validate and say what would change
	Force  bool // also to models that are known to be bad
}

// Apply puts documents, as JSON, all or none. The outcomes are in the order of
// the documents; the pointers of an error begin with a document's index.
func (c *Client) Apply(ctx context.Context, documents []json.RawMessage, o ApplyOptions) ([]Outcome, error) {
	query := url.Values{}
	if o.DryRun {
		query.Set("dryRun", "true")
	}
	if o.Force {
		query.Set("force", "true")
	}
	var answer struct {
		Items []Outcome `json:"items"`
	}
	_, err := c.call(ctx, request{method: http.MethodPost, path: []string{"apply"}, query: query, body: documents}, &answer)
	return answer.Items, err
}
