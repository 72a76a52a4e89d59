package client

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// RolloutRequest asks for a rollout. An empty Image means the one in the stored spec.
type RolloutRequest struct {
	Image    string               `json:"image,omitempty"`
	Strategy resource.UpgradeMode `json:"strategy,omitempty"`
	Force    bool                 `json:"force,omitempty"`
}

// StartRollout writes the image into the set's spec and starts the rollout to it.
// The rollout has no name when the set runs that model already.
func (c *Client) StartRollout(ctx context.Context, set string, r RolloutRequest) (resource.Rollout, error) {
	return c.rollout(ctx, []string{"scalesets", set, "rollout"}, r)
}

// Pause holds a rollout for a time (0: the server's limit), after which it goes back by itself.
func (c *Client) Pause(ctx context.Context, rollout string, d resource.Duration) (resource.Rollout, error) {
	body := map[string]resource.Duration{}
	if d > 0 {
		body["for"] = d
	}
	return c.rollout(ctx, []string{"rollouts", rollout, "pause"}, body)
}

// Resume lets a paused rollout go on.
func (c *Client) Resume(ctx context.Context, rollout string) (resource.Rollout, error) {
	return c.rollout(ctx, []string{"rollouts", rollout, "resume"}, nil)
}

// Promote lets a rollout that waits for it move the traffic.
func (c *Client) Promote(ctx context.Context, rollout string) (resource.Rollout, error) {
	return c.rollout(ctx, []string{"rollouts", rollout, "promote"}, nil)
}

// Cancel puts a running rollout back without remembering its model as bad.
func (c *Client) Cancel(ctx context.Context, rollout string) (resource.Rollout, error) {
	return c.rollout(ctx, []string{"rollouts", rollout, "cancel"}, nil)
}

// Rollback puts a running rollout back, or starts a new rollout that undoes a
// finished one; the rollout returned is the one to watch.
func (c *Client) Rollback(ctx context.Context, rollout string) (resource.Rollout, error) {
	return c.rollout(ctx, []string{"rollouts", rollout, "rollback"}, nil)
}

func (c *Client) rollout(ctx context.Context, path []string, body any) (resource.Rollout, error) {
	var ro resource.Rollout
	_, err := c.call(ctx, request{method: http.MethodPost, path: path, body: body}, &ro)
	return ro, err
}

// Scale sets the capacity of a set and returns the set.
func (c *Client) Scale(ctx context.Context, set string, capacity int) (resource.ScaleSet, error) {
	var s resource.ScaleSet
	_, err := c.call(ctx, request{
		method: http.MethodPost, path: []string{"scalesets", set, "scale"}, body: map[string]int{"capacity": capacity},
	}, &s)
	return s, err
}

// Operate asks for one instance to be restarted, reimaged or deleted, and
// returns it as it is then: its operation is what was asked.
func (c *Client) Operate(ctx context.Context, instance string, action resource.Action) (resource.Instance, error) {
	var i resource.Instance
	_, err := c.call(ctx, request{method: http.MethodPost, path: []string{"instances", instance, strings.ToLower(string(action))}}, &i)
	return i, err
}

// Delete deletes a document, or begins to: done says that it is gone already.
func (c *Client) Delete(ctx context.Context, kind, name string) (done bool, err error) {
	path, err := documentPath(kind, name)
	if err != nil {
		return false, err
	}
	resp, err := c.call(ctx, request{method: http.MethodDelete, path: path}, nil)
	return err == nil && resp.StatusCode != http.StatusAccepted, err
}

// TokenRequest asks for a token. An empty name is made up, no Expires is never.
type TokenRequest struct {
	Name    string        `json:"name,omitempty"`
	Role    resource.Role `json:"role"`
	Scopes  []string      `json:"scopes,omitempty"`
	Expires string        `json:"expires,omitempty"` // a duration from now, or a time
}

// NewToken is a token with its secret.
type NewToken struct {
	Token  resource.Document `json:"token"`
	Secret string            `json:"secret"`
}

// CreateToken makes a token. The secret is told this once.
func (c *Client) CreateToken(ctx context.Context, r TokenRequest) (NewToken, error) {
	var made NewToken
	_, err := c.call(ctx, request{method: http.MethodPost, path: []string{"tokens"}, body: r}, &made)
	return made, err
}

// downTimeout is how long the server lets its instances take to stop, and a little more.
const downTimeout = time.Hour + time.Minute

// Down stops all instances, the gateway and the server, and returns when they have.
func (c *Client) Down(ctx context.Context) error {
	late := resource.Errorf(resource.CodeUnavailable, "%s has not stopped after %s", c.target, downTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, downTimeout, late)
	defer cancel()
	resp, err := c.open(ctx, request{method: http.MethodPost, path: []string{"down"}})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
