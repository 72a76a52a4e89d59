package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/droverhq/drover/internal/gateway/h1"
	"github.com/droverhq/drover/internal/gateway/socket"
	"github.com/droverhq/drover/internal/gateway/upstream"
)

const (
	// frameGrace is how long the rest of a frame may take when a drain ends in the middle of it.
	frameGrace = 2 * time.Second
	// closeGrace is how long a client may take to answer a close.
	closeGrace = time.Second
	// One direction may live on after the other has ended, but not for ever.
	afterClient  = time.Minute
	afterBackend = 5 * time.Second
)

var (
	errDrained    = errors.New("the drain's time is over")
	errLeft       = errors.New("the backend closed the stream")
	errClientLeft = errors.New("the client broke off the stream")
)

// stream is a connection that has become something else than HTTP, seen from both ends.
type stream struct {
	client *socket.Conn
	conn   *upstream.Conn
	frames *frames // of the backend's bytes; nil when it is no WebSocket
	slow   stall   // of writes to the client
	stall  time.Duration
	up     int64 // bytes from the client, and down to it; each is one direction's own
	down   int64

	mu         sync.Mutex // orders deadlines
	drained    bool
	clientDone bool // it finished in order
	clientGone bool // it broke off
}

// upgrade passes a 101 on and then bytes both ways until both have ended.
func (x *exchange) upgrade(c *upstream.Conn, o *outcome) error {
	protocol := string(x.req.Upgrade)
	if protocol == "" || !strings.EqualFold(string(x.resp.Upgrade), protocol) {
		return fmt.Errorf("the backend switched to a protocol that was not asked for: %q", x.resp.Upgrade)
	}
	detach(x.req)
	client := x.client.takeOver()
	if client == nil {
		return errors.New("the client's connection cannot become anything else")
	}
	defer client.Close()
	o.forwarded, o.stream = true, true
	if err := writeSwitching(client, x.resp, x.req.Upgrade); err != nil {
		o.clientGone = true
		return fmt.Errorf("write to the client: %w", err)
	}
	_ = client.TCP.SetDeadline(time.Time{})
	s := &stream{client: client, conn: c, stall: time.Duration(x.config.Limits.IdleTimeout)}
	if strings.EqualFold(protocol, "websocket") {
		s.frames = &frames{}
	}
	x.become(s)
	err := s.run(o)
	x.received, x.sent = s.up, s.down
	o.clientGone = o.clientGone || errors.Is(err, errClientLeft)
	o.left = errors.Is(err, errLeft)
	return err
}

func writeSwitching(client io.Writer, a *h1.Response, protocol []byte) error {
	out := h1.AppendStatusLine(nil, http.StatusSwitchingProtocols, "Switching Protocols")
	for i := range a.Fields {
		if f := &a.Fields[i]; !f.Hop && f.Kind != h1.ContentLength {
			out = h1.AppendField(out, f.Name, f.Value)
		}
	}
	out = h1.AppendField(out, "Connection", "Upgrade")
	out = h1.AppendField(out, "Upgrade", protocol)
	_, err := client.Write(h1.AppendEnd(out))
	return err
}

// interrupt ends the stream in order. It may be called from any goroutine.
func (s *stream) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = true
	_ = s.conn.TCP.SetReadDeadline(time.Unix(1, 0))
	_ = s.client.TCP.SetWriteDeadline(time.Now().Add(frameGrace)) // it may not be reading
}

// run copies both ways. Its error is nil when both ends finished in their own time.
func (s *stream) run(o *outcome) error {
	upward := make(chan struct{})
	go func() {
		defer close(upward)
		s.fromClient()
	}()
	err := s.fromBackend()
	_ = s.conn.TCP.SetWriteDeadline(time.Now().Add(closeGrace)) // it may not be reading
	switch {
	case errors.Is(err, errDrained):
		o.orderly = s.goodbye()
		<-upward
		return err
	case err == nil:
		err = s.whoEnded()
		_ = s.client.CloseWrite()
		_ = s.client.TCP.SetReadDeadline(time.Now().Add(s.afterEnd()))
	default:
		_ = s.client.TCP.SetDeadline(time.Unix(1, 0))
	}
	<-upward
	return err
}

// whoEnded says whose doing it was that the backend has finished; nil: the
// client finished before, or the two said goodbye to each other.
func (s *stream) whoEnded() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clientDone || s.frames != nil && s.frames.closed {
		return nil
	}
	return errLeft
}

// afterEnd is how long the client may go on when the backend has finished: a
// WebSocket is over then, another protocol may close its directions one by one.
func (s *stream) afterEnd() time.Duration {
	if s.frames != nil {
		return closeGrace
	}
	return afterBackend
}

// goodbye tells the client that the stream ends here, where the protocol has a
// word for it, and waits a moment for its answer.
func (s *stream) goodbye() (orderly bool) {
	orderly = s.frames == nil || s.frames.boundary()
	_ = s.client.TCP.SetDeadline(time.Now().Add(closeGrace))
	if s.frames != nil && orderly && !s.frames.closed {
		if _, err := s.client.Write(goingAway); err != nil {
			return false
		}
	}
	_ = s.client.CloseWrite()
	return orderly
}

// fromClient returns when the client has finished, or either side is broken.
func (s *stream) fromClient() {
	var buf buffer
	buf.lend()
	defer buf.free()
	for {
		n, err := s.client.Read(buf.bytes)
		if n > 0 {
			s.up += int64(n)
			s.client.Release() // what came before it saw the 101 has been taken
			if _, werr := s.conn.TCP.Write(buf.bytes[:n]); werr != nil {
				return // the other direction finds out why
			}
			buf.filled(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = s.conn.TCP.CloseWrite()
			s.limitBackend(time.Now().Add(afterClient), true)
			return
		case err != nil:
			s.limitBackend(time.Unix(1, 0), false)
			return
		}
	}
}

// limitBackend bounds what the backend may still say after the client has ended.
func (s *stream) limitBackend(t time.Time, inOrder bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clientDone, s.clientGone = inOrder, !inOrder
	if !s.drained {
		_ = s.conn.TCP.SetReadDeadline(t)
	}
}

// fromBackend returns nil when the backend has closed its end, errDrained when a drain
// ended the stream between two frames, and otherwise what broke.
func (s *stream) fromBackend() error {
	var buf buffer
	buf.lend()
	defer buf.free()
	waited := false
	for {
		n, err := s.conn.Read(buf.bytes)
		if n > 0 {
			s.down += int64(n)
			s.conn.Release() // what came with the head has been taken
			if werr := s.toClient(buf.bytes[:n]); werr != nil {
				return werr
			}
			buf.filled(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err == nil:
		case s.gone():
			return errClientLeft
		case errors.Is(err, syscall.ECONNRESET) && !s.draining():
			return nil // it closed the stream without reading what the client had sent
		case !s.draining():
			return fmt.Errorf("read from the backend: %w", err)
		case waited || s.frames == nil || s.frames.boundary():
			return errDrained
		default:
			// In the middle of a frame: let it end.
			waited = true
			_ = s.conn.TCP.SetReadDeadline(time.Now().Add(frameGrace))
		}
	}
}

func (s *stream) toClient(p []byte) error {
	if s.frames != nil {
		s.frames.follow(p)
	}
	s.mu.Lock()
	if !s.drained {
		s.slow.extend(s.stall, s.client.TCP.SetWriteDeadline)
	}
	s.mu.Unlock()
	if _, err := s.client.Write(p); err != nil {
		if s.draining() {
			return errDrained
		}
		return errClientLeft
	}
	return nil
}

func (s *stream) draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drained
}

func (s *stream) gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clientGone
}
