// Command azure-health is a web program whose health check heeds Azure's scheduled
// events, as programs on virtual machine scale sets have it: from its own Terminate
// or Redeploy event on it answers traffic for a grace period, then its health check fails, so
// that the load balancer sends nothing new, and then it approves its own end.
//
// Nothing in it is Drover's: on Azure it runs with IMDS_ENDPOINT left out.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

// grace is how long the program takes traffic after it was told of its end.
const grace = 5 * time.Second

// heeded are the events that end this process: that of a deletion and of a reimage.
var heeded = []string{"Terminate", "Redeploy"}

func main() {
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	h := &health{endpoint: cmp.Or(os.Getenv("IMDS_ENDPOINT"), "http://169.254.169.254")}
	mux := http.NewServeMux()
	mux.Handle("/healthz", h)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "Hello from %s\n", os.Getenv("DROVER_INSTANCE"))
	})
	srv := &http.Server{Addr: net.JoinHostPort("127.0.0.1", os.Getenv("PORT")), Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), 8*time.Second)
	defer cancel()
	if err := srv.Shutdown(limit); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// health is the health check. It remembers when it first saw its own end.
type health struct {
	endpoint string

	mu      sync.Mutex // one probe at a time
	event   string
	seen    time.Time
	failing bool
}

func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.look(r.Context()); err != nil {
		log.Print(err) // what cannot be asked changes nothing
	}
	if h.event == "" || time.Since(h.seen) < grace {
		fmt.Fprintln(w, "ok")
		return
	}
	if h.failing { // the load balancer has been told by now: nothing is in the way
		if err := h.approve(r.Context()); err != nil {
			log.Print(err)
		}
	}
	h.failing = true
	http.Error(w, "about to go", http.StatusServiceUnavailable)
}

// look asks who this instance is and what is scheduled for it.
func (h *health) look(ctx context.Context) error {
	if h.event != "" {
		return nil
	}
	var self struct{ Compute struct{ Name string } }
	if err := h.call(ctx, http.MethodGet, "/metadata/instance?api-version=2021-05-01", nil, &self); err != nil {
		return err
	}
	var scheduled struct {
		Events []struct {
			EventID   string `json:"EventId"`
			EventType string
			Resources []string
		}
	}
	if err := h.call(ctx, http.MethodGet, "/metadata/scheduledevents?api-version=2020-07-01", nil, &scheduled); err != nil {
		return err
	}
	for _, e := range scheduled.Events {
		if slices.Contains(heeded, e.EventType) && slices.Contains(e.Resources, self.Compute.Name) {
			h.event, h.seen = e.EventID, time.Now()
			log.Printf("told that this instance is to go: %s, event %s", e.EventType, e.EventID)
		}
	}
	return nil
}

// approve says that the instance need not wait for the event's NotBefore.
func (h *health) approve(ctx context.Context) error {
	body, err := json.Marshal(map[string]any{"StartRequests": []any{map[string]string{"EventId": h.event}}})
	if err != nil {
		return err
	}
	return h.call(ctx, http.MethodPost, "/metadata/scheduledevents?api-version=2020-07-01", body, nil)
}

func (h *health) call(ctx context.Context, method, path string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, h.endpoint+path, bytes.NewReader(body))
	if err != nil {
		return errors.New("the metadata endpoint is not a URL") // it is a secret: not in a log
	}
	req.Header.Set("Metadata", "true")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask for metadata: %w", errors.Unwrap(err)) // without the URL
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("metadata: %s", resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
