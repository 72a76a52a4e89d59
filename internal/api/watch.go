package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/droverhq/drover/internal/store"
)

// eventTimeout is how long a watcher may take to accept an event. One that does
// not read is cut off: what the store keeps for it would otherwise have to wait.
const eventTimeout = 10 * time.Second

// watch begins a watch; what can be refused is refused before the stream begins.
func (s *Server) watch(ctx context.Context, f filter, in *listInput) (func(huma.Context), error) {
	if in.Limit != 0 || in.Continue != "" {
		return nil, badParameter("watch", "a watch has no pages: leave limit and continue out")
	}
	after := s.Store.Revision()
	if in.After.IsSet {
		after = in.After.Value
	}
	if in.LastEventID != "" {
		// Its form was checked when it was parsed.
		after, _ = strconv.ParseInt(in.LastEventID, 10, 64)
	}
	w, err := s.Store.Watch(ctx, after, store.Filter{Kinds: []string{f.kind}, Owner: f.owner})
	if err != nil {
		return nil, err
	}
	leave, err := s.enterStream(f.who)
	if err != nil {
		w.Close()
		return nil, err
	}
	return func(ctx huma.Context) {
		defer leave()
		defer w.Close()
		r, out := humago.Unwrap(ctx)
		ws := &watchStream{server: s, call: callOf(r.Context()), filter: f, changes: w, out: out, hidden: map[string]bool{}}
		ws.run(r.Context())
	}, nil
}

// watchStream writes one watch's events.
type watchStream struct {
	server  *Server
	call    *call
	filter  filter
	changes *store.Watch
	out     http.ResponseWriter
	buf     bytes.Buffer
	// hidden are documents without the labels asked for that the client was told about.
	hidden map[string]bool
}

// run streams until the client goes, its token ends, it falls too far behind, or the server stops.
func (ws *watchStream) run(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(ws.server.streams, func() { cancel(errStopping) })()
	ws.call.stream = true
	ws.call.endless()
	h := ws.out.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy in between must not collect events
	ws.out.WriteHeader(http.StatusOK)
	if ws.flush() != nil {
		return
	}
	defer ws.server.watchToken(ctx, cancel, ws.call)()
	err := ws.next(ctx)
	for err == nil {
		err = ws.next(ctx)
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	switch {
	case errors.Is(err, errGone), errors.Is(err, context.Canceled): // there is nobody to tell
	case errors.Is(err, errStopping): // a client that does not read would hold the end up
	default:
		ws.fail(ctx, err)
	}
}

// next writes the next changes, or a sign of life when there are none for a while.
func (ws *watchStream) next(ctx context.Context) error {
	// Everything up to here has been written if the wait that follows brings nothing.
	seen := ws.server.Store.Revision()
	wait, cancel := context.WithTimeout(ctx, ws.server.Heartbeat)
	defer cancel()
	changes, err := ws.changes.Next(wait)
	switch {
	case err == nil:
		return ws.write(ctx, changes)
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		// The id lets a client that saw no event for long resume from a young revision.
		fmt.Fprintf(&ws.buf, ": alive\nid: %d\n\n", seen)
		return ws.flush()
	}
	return err
}

// write asks for the token each time: nothing that was written after its
// revocation is told to it, also not in the instant before watchToken notices.
func (ws *watchStream) write(ctx context.Context, changes []store.Change) error {
	if err := ws.server.gate.stillIn(ctx, ws.call); err != nil {
		return err
	}
	const enough = 32 << 10 // one write of many small events, but a deadline for every few
	for _, c := range changes {
		if err := ws.event(c); err != nil {
			return err
		}
		if ws.buf.Len() >= enough {
			if err := ws.flush(); err != nil {
				return err
			}
		}
	}
	return ws.flush()
}

// event adds one change, if the client may see it and asked for it. A document
// that lost the labels asked for is gone, for this client.
func (ws *watchStream) event(c store.Change) error {
	d := c.Document
	if !ws.filter.covers(d) {
		return nil
	}
	name := "put"
	if c.Deleted || !ws.filter.matches(d) {
		told := ws.hidden[d.Name]
		if c.Deleted {
			delete(ws.hidden, d.Name)
		} else {
			ws.hidden[d.Name] = true
		}
		if told {
			return nil
		}
		name = "delete"
	} else {
		delete(ws.hidden, d.Name)
	}
	data, err := json.Marshal(visible(d))
	if err != nil {
		return fmt.Errorf("encode %s %s: %w", d.Kind, d.Name, err)
	}
	fmt.Fprintf(&ws.buf, "id: %d\nevent: %s\ndata: %s\n\n", c.Revision, name, data)
	return nil
}

// fail tells the client why the stream ends.
func (ws *watchStream) fail(ctx context.Context, err error) {
	data, err := json.Marshal(ws.server.problem(ctx, err))
	if err != nil {
		return
	}
	fmt.Fprintf(&ws.buf, "event: error\ndata: %s\n\n", data)
	_ = ws.flush() // it ends either way
}

func (ws *watchStream) flush() error {
	// A connection without deadlines (a test's recorder) has no client that could be slow.
	_ = ws.call.control.SetWriteDeadline(time.Now().Add(eventTimeout))
	if _, err := ws.out.Write(ws.buf.Bytes()); err != nil {
		return errGone
	}
	ws.buf.Reset()
	if ws.buf.Cap() > maxBody {
		ws.buf = bytes.Buffer{} // one large document is no reason to keep its size for hours
	}
	if err := ws.call.control.Flush(); err != nil {
		return errGone
	}
	return nil
}

// errGone: the client does not read; there is nobody to tell.
var errGone = errors.New("the client has gone")
