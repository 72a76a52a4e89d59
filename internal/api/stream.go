package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// enterStream takes a place among the streams; leave gives it back.
func (s *Server) enterStream() (leave func(), err error) {
	if s.streams.Err() != nil {
		return nil, resource.Errorf(resource.CodeUnavailable, "the server is shutting down")
	}
	select {
	case s.streamSlots <- struct{}{}:
	default:
		return nil, resource.Errorf(resource.CodeTooManyRequests, "%d watches and followed logs are open, which is all there may be", maxStreams)
	}
	s.meter.streams.Inc()
	return func() {
		s.meter.streams.Dec()
		<-s.streamSlots
	}, nil
}

// flushWriter hands on every write at once, and gives up on a client that does
// not take it in time.
type flushWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	// before, if set, is asked at most every interval whether to go on.
	before   func() error
	interval time.Duration
	asked    time.Time
}

func (f *flushWriter) Write(p []byte) (int, error) {
	if f.before != nil && time.Since(f.asked) >= f.interval {
		if err := f.before(); err != nil {
			return 0, err
		}
		f.asked = time.Now()
	}
	_ = f.control.SetWriteDeadline(time.Now().Add(eventTimeout))
	n, err := f.w.Write(p)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}

// lateHeader writes the answer's header with its first byte, so that an error
// that comes before can still be answered as one.
type lateHeader struct {
	out     io.Writer
	header  func()
	started bool
}

func (l *lateHeader) Write(p []byte) (int, error) {
	if !l.started {
		l.started = true
		l.header()
	}
	return l.out.Write(p)
}

// until is ctx that also ends with the server's streams.
func (s *Server) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.streams, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
