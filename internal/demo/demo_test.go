package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/resource"
)

// onWrite calls do once when a text is written.
type onWrite struct {
	text string
	do   func()
}

func (w onWrite) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(w.text)) {
		w.do()
	}
	return len(b), nil
}

// rolled is an API where every rollout ends at once, as the demo wants it.
func rolled(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	if r.Method == http.MethodPost {
		var start client.RolloutRequest
		if err := json.NewDecoder(r.Body).Decode(&start); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		name = map[string]string{"hello:2.0.0": "hello-1", "hello:3.0.0": "hello-2"}[start.Image]
		w.WriteHeader(http.StatusCreated)
	}
	ro := resource.Rollout{Meta: resource.Meta{Kind: resource.KindRollout, Name: name}}
	ro.Status.Phase = map[string]resource.RolloutPhase{
		"hello-1": resource.RolloutSucceeded, "hello-2": resource.RolloutRolledBack,
	}[name]
	_ = json.NewEncoder(w).Encode(ro)
}

// A busy machine may leave no time for the pause at the end, which shows nothing
// new: what was promised has been seen by then.
func TestTimeIsOverAfterTheLastRollout(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(rolled))
	defer api.Close()
	c, err := client.New(client.Options{Server: api.URL, Token: "token"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for phase, told := range map[resource.RolloutPhase]bool{resource.RolloutSucceeded: false, resource.RolloutRolledBack: true} {
		ctx, over := context.WithCancel(t.Context())
		d := &demo{
			display: &display{w: onWrite{string(phase), over}}, pace: pace{pause: 50 * time.Millisecond},
			server: &server{client: c}, result: &Result{},
		}
		err := d.chapters(ctx)
		over()
		if (err == nil) != told || (d.result.verdict() == nil) != told {
			t.Errorf("time is over at %s: %v, %v", phase, err, d.result.verdict())
		}
	}
}

func TestRestsGiveWay(t *testing.T) {
	p := paceOf(MinDuration)
	for _, test := range []struct {
		left     time.Duration
		rollouts int
		want     time.Duration
	}{
		{13 * time.Second, 2, p.pause},
		{8500 * time.Millisecond, 2, 500 * time.Millisecond},
		{5 * time.Second, 2, 0},
		{p.pause, 0, p.pause},
		{-time.Second, 0, 0},
	} {
		if got := p.rest(test.left, test.rollouts); got != test.want {
			t.Errorf("%s left and %d rollouts: %s, want %s", test.left, test.rollouts, got, test.want)
		}
	}
}
