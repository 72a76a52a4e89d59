package client

import (
	"context"
	"net/http"

	"github.com/droverhq/drover/internal/resource"
)

// RolloutRequest asks for a rollout. An empty Image means the one in the stored spec.
type RolloutRequest struct {
	Image    string               `json:"image,omitempty"`
	Strategy resource.UpgradeMode `json:"strategy,omitempty"`
	Force    bool                 `json:"force,omitempty"`
}

// StartRollout writes the image into the set's spec and starts the rollout to it.
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
