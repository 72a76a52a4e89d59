package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// silence is how long a watch may say nothing, not even a comment, before it is
// opened again: a machine that vanished closes no connection.
const silence = 90 * time.Second

// Change is a document that was written or deleted.
type Change struct {
	Deleted  bool
	Document resource.Document // of a deleted one, its last content
}

// WatchOptions say what to watch.
type WatchOptions struct {
	Kind   string
	Filter Filter
	// From is the list that the caller has seen; changes after it follow.
	From List
	// Interrupted is told when the connection was lost, before it is tried again.
	Interrupted func(error)
}

// Watch yields every change after o.From, in order, until ctx ends or the
// caller stops. It outlives restarts of the server and yields an error, its
// last value, only when the server refuses or cannot be found again.
func (c *Client) Watch(ctx context.Context, o WatchOptions) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		w := watch{client: c, o: o, after: o.From.Revision, known: map[string]resource.Document{}, lastHeard: time.Now()}
		for _, d := range o.From.Items {
			w.known[d.Name] = d
		}
		if err := w.run(ctx, func(ch Change) bool { return yield(ch, nil) }); err != nil {
			yield(Change{}, err)
		}
	}
}

// watch is the state of one Watch: what its caller knows, and up to when.
type watch struct {
	client    *Client
	o         WatchOptions
	after     int64
	known     map[string]resource.Document
	lastHeard time.Time
}

var (
	// errStopped ends a watch whose caller has seen enough.
	errStopped = errors.New("the watch was stopped")
	// errListed: the caller is up to date, and the watch goes on from there.
	errListed = errors.New("listed again")
	errSilent = resource.Errorf(resource.CodeUnavailable, "the server said nothing for too long")
)

func (w *watch) run(ctx context.Context, yield func(Change) bool) error {
	err := w.client.persist(ctx, w.o.Interrupted, func() error {
		err := w.stream(ctx, yield)
		if resource.IsCode(err, resource.CodeGone) {
			if err = w.relist(ctx, yield); err == nil {
				err = errListed
			}
		}
		return err
	}, func() time.Time { return w.lastHeard })
	if err == errStopped {
		return nil
	}
	return err
}

// stream reads one connection's changes until it ends, which is an error.
func (w *watch) stream(ctx context.Context, yield func(Change) bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(requestTimeout, func() { cancel(errSilent) })
	defer quiet.Stop()
	resp, err := w.open(ctx)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	w.lastHeard = time.Now()
	quiet.Reset(silence)
	events := newEventReader(&heard{r: resp.Body, timer: quiet})
	for {
		e, err := events.next()
		if err != nil {
			return resource.Errorf(resource.CodeUnavailable, "the connection to %s ended: %v", w.client.target, err)
		}
		w.lastHeard = time.Now()
		if err := w.take(e, yield); err != nil {
			return err
		}
	}
}

func (w *watch) open(ctx context.Context) (*http.Response, error) {
	k, err := resource.LookupKind(w.o.Kind)
	if err != nil {
		return nil, err
	}
	query := Filter{Set: w.o.Filter.Set}.query() // labels are decided here, see Filter.matches
	query.Set("watch", "true")
	query.Set("after", strconv.FormatInt(w.after, 10))
	return w.client.open(ctx, request{
		method: http.MethodGet, path: []string{k.Plural}, query: query, header: http.Header{"Accept": {"text/event-stream"}},
	})
}

// heard restarts the timer at every sign of life.
type heard struct {
	r     io.Reader
	timer *time.Timer
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if n > 0 {
		h.timer.Reset(silence)
	}
	return n, err
}

// take applies one event to what is known and yields it if it is news.
func (w *watch) take(e event, yield func(Change) bool) error {
	change := e.name == "put" || e.name == "delete"
	if e.name == "error" {
		return problemEvent(e)
	}
	if !change && e.id == "" {
		return nil // from a newer server; it means nothing here
	}
	revision, err := strconv.ParseInt(e.id, 10, 64)
	if err != nil {
		return fmt.Errorf("watch %s: an event without a revision: %q", w.o.Kind, e.id)
	}
	if !change {
		w.after = max(w.after, revision) // a sign of life: nothing of interest up to there
		return nil
	}
	if revision <= w.after {
		return nil // seen before the connection was lost
	}
	var d resource.Document
	if err := json.Unmarshal(e.data, &d); err != nil {
		return fmt.Errorf("watch %s: decode revision %d: %w", w.o.Kind, revision, err)
	}
	w.after = revision
	return w.see(d, e.name == "delete", yield)
}

// see yields the change if it is one to a caller who sees only what matches the filter.
func (w *watch) see(d resource.Document, deleted bool, yield func(Change) bool) error {
	old, had := w.known[d.Name]
	switch {
	case !deleted && w.o.Filter.matches(d):
		if had && old.Revision == d.Revision {
			return nil
		}
		w.known[d.Name] = d
		deleted = false
	case had:
		delete(w.known, d.Name)
		deleted = true
	default:
		return nil
	}
	if !yield(Change{Deleted: deleted, Document: d}) {
		return errStopped
	}
	return nil
}

// relist brings the caller up to date when the server no longer remembers the changes in between.
func (w *watch) relist(ctx context.Context, yield func(Change) bool) error {
	list, err := w.client.List(ctx, w.o.Kind, w.o.Filter)
	if err != nil {
		return err
	}
	present := make(map[string]bool, len(list.Items))
	for _, d := range list.Items {
		present[d.Name] = true
		if err := w.see(d, false, yield); err != nil {
			return err
		}
	}
	for name, d := range w.known {
		if present[name] {
			continue
		}
		if err := w.see(d, true, yield); err != nil {
			return err
		}
	}
	w.after, w.lastHeard = list.Revision, time.Now()
	return nil
}

// problemEvent is what the server says when it ends a watch.
func problemEvent(e event) error {
	var p problem
	if err := json.Unmarshal(e.data, &p); err != nil || p.Code == "" {
		return resource.Errorf(resource.CodeUnavailable, "the server ended the watch: %s", e.data)
	}
	return &resource.Error{Code: p.Code, Detail: p.Detail, Fields: p.Errors}
}
