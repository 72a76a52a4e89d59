package client

import (
	"context"
	"net/http"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// Status is the server, its gateway and its sets at a glance.
type Status struct {
	Version  string      `json:"version"`
	Revision int64       `json:"revision"`
	System   *System     `json:"system,omitempty"` // nil for a token with a scope
	Sets     []SetStatus `json:"sets"`
	// Balancers are those that the token may read.
	Balancers []BalancerStatus `json:"balancers"`
	Recovery  *Recovery        `json:"recovery,omitempty"`
}

// System is what only the server's process knows.
type System struct {
	StartedAt time.Time `json:"startedAt"`
	Gateway   struct {
		State     string    `json:"state"`
		PID       int       `json:"pid,omitempty"`
		StartedAt time.Time `json:"startedAt,omitzero"`
		Applied   int64     `json:"applied,omitempty"`
		Detail    string    `json:"detail,omitempty"`
	} `json:"gateway"`
	Disk struct {
		Path string         `json:"path,omitempty"`
		Free resource.Bytes `json:"free"`
		Size resource.Bytes `json:"size"`
		Full bool           `json:"full"`
	} `json:"disk"`
}

// BalancerStatus sums up one load balancer.
type BalancerStatus struct {
	Name       string               `json:"name"`
	Address    string               `json:"address,omitempty"`
	Conditions []resource.Condition `json:"conditions,omitempty"`
}

// SetStatus sums up one scale set.
type SetStatus struct {
	Name       string               `json:"name"`
	Image      string               `json:"image"`
	Version    string               `json:"version,omitempty"`
	Capacity   int                  `json:"capacity"`
	Instances  resource.Tally       `json:"instances"`
	Rollout    string               `json:"rollout,omitempty"`
	Conditions []resource.Condition `json:"conditions,omitempty"`
}

// Recovery says what the server set aside when it found damaged files.
type Recovery struct {
	At               time.Time `json:"at"`
	Reason           string    `json:"reason"`
	SetAside         []string  `json:"setAside,omitempty"`
	Snapshot         string    `json:"snapshot,omitempty"`
	SnapshotRevision int64     `json:"snapshotRevision,omitempty"`
	SnapshotTime     time.Time `json:"snapshotTime,omitzero"`
	Rows             []string  `json:"rows,omitempty"`
	MissingAfter     int64     `json:"missingAfter"`
	LastKnown        int64     `json:"lastKnown"`
	Revision         int64     `json:"revision"`
}

// AcknowledgeRecovery ends the report of a repair and returns it; nil: there was none.
func (c *Client) AcknowledgeRecovery(ctx context.Context) (*Recovery, error) {
	var answer struct {
		Recovery *Recovery `json:"recovery"`
	}
	_, err := c.call(ctx, request{method: http.MethodPost, path: []string{"status", "acknowledge"}}, &answer)
	return answer.Recovery, err
}

// Status asks the server how it is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	_, err := c.call(ctx, request{method: http.MethodGet, path: []string{"status"}}, &s)
	return s, err
}
