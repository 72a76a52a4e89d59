package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// slots counts the streams that are open, by the token that opened them.
type slots struct {
	mu    sync.Mutex
	all   int
	byWho map[string]int
}

func (s *slots) take(who string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.all == maxStreams:
		return resource.Errorf(resource.CodeTooManyRequests, "%d watches and followed logs are open, which is all there may be", maxStreams)
	case s.byWho[who] == maxOwnStreams:
		return resource.Errorf(resource.CodeTooManyRequests, "token %s has %d watches and followed logs open, which is all that one may have", who, maxOwnStreams)
	}
	if s.byWho == nil {
		s.byWho = map[string]int{}
	}
	s.all++
	s.byWho[who]++
	return nil
}

func (s *slots) give(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.byWho[who]--; s.byWho[who] == 0 {
		delete(s.byWho, who)
	}
}

// enterStream takes a place among the streams; leave gives it back.
func (s *Server) enterStream(who Principal) (leave func(), err error) {
	if s.streams.Err() != nil {
		return nil, errStopping
	}
	if err := s.slots.take(who.String()); err != nil {
		return nil, err
	}
	s.meter.streams.Inc()
	return func() {
		s.meter.streams.Dec()
		s.slots.give(who.String())
	}, nil
}

// stream is an answer of unknown length.
type stream struct {
	contentType string
	write       func(ctx context.Context, w *lateWriter) error
}

// stream answers with what st writes, for as long as the caller's token is valid. An error before the first byte is a
// problem; later the connection is broken, for half an answer must not look whole.
func (s *Server) stream(hc huma.Context, st stream) {
	r, out := humago.Unwrap(hc)
	c := callOf(r.Context())
	c.stream = true
	c.endless()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.streams, func() { cancel(errStopping) })()
	w := &lateWriter{out: out, control: c.control, contentType: st.contentType}
	defer s.watchToken(ctx, cancel, c)()
	err := st.write(ctx, w)
	if err == nil {
		err = context.Cause(ctx)
	}
	switch {
	case err == nil:
		w.begin()
	case r.Context().Err() != nil: // the client has gone, as it does that has seen enough
	case !w.begun:
		s.writeProblem(out, r, err)
	default:
		s.log.WarnContext(ctx, "an answer was not sent to its end", "route", c.what, "error", err)
		panic(http.ErrAbortHandler)
	}
}

var errStopping = resource.Errorf(resource.CodeUnavailable, "the server is shutting down")

// watchToken ends ctx as soon as the token is no longer valid. What it returns waits for it.
func (s *Server) watchToken(ctx context.Context, cancel context.CancelCauseFunc, c *call) (stop func()) {
	ctx, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			seen := s.Store.Revision()
			if err := s.gate.stillIn(ctx, c); err != nil && ctx.Err() == nil {
				cancel(err)
				return
			}
			s.awaitToken(ctx, c.who.String(), seen)
		}
	})
	return func() {
		end()
		wg.Wait()
	}
}

// awaitToken returns when the token's document has changed, and at the latest
// after a heartbeat: no document changes when a token expires.
func (s *Server) awaitToken(ctx context.Context, name string, after int64) {
	ctx, cancel := context.WithTimeout(ctx, s.Heartbeat)
	defer cancel()
	w, err := s.Store.Watch(ctx, after, store.Filter{Kinds: []string{resource.KindToken}, Name: name})
	if err == nil {
		defer w.Close()
		_, err = w.Next(ctx)
	}
	if err != nil {
		<-ctx.Done() // whatever is wrong with the store, the heartbeat goes on
	}
}

// lateWriter begins the answer with its first byte, hands every write on at
// once, and gives up on a client that does not take it in time.
type lateWriter struct {
	out         http.ResponseWriter
	control     *http.ResponseController
	contentType string
	begun       bool
}

func (w *lateWriter) begin() {
	if w.begun {
		return
	}
	w.begun = true
	w.out.Header().Set("Content-Type", w.contentType)
	_ = w.control.SetWriteDeadline(time.Now().Add(eventTimeout))
	w.out.WriteHeader(http.StatusOK)
	_ = w.control.Flush() // the write that follows fails as well
}

func (w *lateWriter) Write(p []byte) (int, error) {
	w.begin()
	_ = w.control.SetWriteDeadline(time.Now().Add(eventTimeout))
	n, err := w.out.Write(p)
	if err == nil {
		err = w.control.Flush()
	}
	return n, err
}
