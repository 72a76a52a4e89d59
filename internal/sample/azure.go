package sample

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// azure is a health check as programs on Azure's virtual machines have it: each
// probe asks the metadata service who the instance is and what is scheduled for
// it. From the first sight of its own end it answers on for a while, then it is
// unhealthy, and the probe after that approves.
type azure struct {
	endpoint string
	grace    time.Duration
	approve  bool
	notes    io.Writer // what it saw and did, and every call that failed
	client   http.Client

	mu       sync.Mutex // one probe at a time
	event    string     // its own, once it was seen
	seen     time.Time
	refused  bool // a probe was
	approved bool
}

func newAzure(c Config, endpoint string, notes io.Writer) *azure {
	return &azure{
		endpoint: endpoint, grace: time.Duration(c.AzureGraceMs) * time.Millisecond, approve: !c.NeverApprove,
		notes: notes, client: http.Client{Timeout: 5 * time.Second},
	}
}

func (a *azure) healthy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	incarnation, err := a.look()
	if err != nil {
		a.note("failed %v", err)
	}
	if a.event == "" || time.Since(a.seen) < a.grace {
		return true
	}
	if a.refused && a.approve && !a.approved {
		if err := a.start(incarnation); err != nil {
			a.note("failed %v", err)
		} else {
			a.approved = true
			a.note("approved %s", a.event)
		}
	}
	a.refused = true
	return false
}

type scheduledEvents struct {
	DocumentIncarnation int
	Events              []struct {
		EventID   string `json:"EventId"`
		EventType string
		Resources []string
	}
}

// look makes the two calls of a probe and remembers the first sight of its own end.
func (a *azure) look() (incarnation int, err error) {
	var self struct {
		Compute struct{ Name string }
	}
	if err := a.call(http.MethodGet, "instance?api-version=2021-05-01", nil, &self); err != nil {
		return 0, err
	}
	var told scheduledEvents
	if err := a.call(http.MethodGet, "scheduledevents?api-version=2020-07-01", nil, &told); err != nil {
		return 0, err
	}
	for _, e := range told.Events {
		if a.event == "" && (e.EventType == "Terminate" || e.EventType == "Redeploy") && slices.Contains(e.Resources, self.Compute.Name) {
			a.event, a.seen = e.EventID, time.Now()
			a.note("told %s", a.event)
		}
	}
	return told.DocumentIncarnation, nil
}

// start approves as some clients do: with fields that the service does not need.
func (a *azure) start(incarnation int) error {
	body, err := json.Marshal(map[string]any{
		"StartRequests":       []any{map[string]any{"EventId": a.event, "Comment": "drained"}},
		"DocumentIncarnation": incarnation,
	})
	if err != nil {
		return err
	}
	return a.call(http.MethodPost, "scheduledevents?api-version=2020-07-01", body, nil)
}

func (a *azure) call(method, path string, body []byte, into any) error {
	req, err := http.NewRequest(method, a.endpoint+"/metadata/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Metadata", "true")
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

func (a *azure) note(format string, args ...any) {
	fmt.Fprintf(a.notes, time.Now().Format(time.RFC3339Nano)+" "+format+"\n", args...)
}
