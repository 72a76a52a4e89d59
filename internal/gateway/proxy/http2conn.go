package proxy

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	xhttp2 "golang.org/x/net/http2"

	"github.com/droverhq/drover/internal/gateway/h2"
)

// http2Conn is a client's connection that carries many requests at once. The
// connection's goroutine reads it, and each request has one of its own.
type http2Conn struct {
	conn    *conn
	h2      *h2.Conn
	answers sync.WaitGroup

	mu      sync.Mutex
	streams map[*http2]struct{} // that are being answered
}

// preface says whether the connection begins as one of HTTP/2 does, and takes that.
func (c *conn) preface() bool {
	for {
		have := c.in.Buffered()
		n := min(len(have), len(xhttp2.ClientPreface))
		if string(have[:n]) != xhttp2.ClientPreface[:n] {
			return false
		}
		if n == len(xhttp2.ClientPreface) {
			c.in.Skip(n)
			return true
		}
		c.inHead()
		if c.in.Fill() != nil {
			return false
		}
	}
}

// serveHTTP2 answers requests until the connection ends. The preface has been taken.
func (c *conn) serveHTTP2() {
	m := &http2Conn{conn: c, streams: map[*http2]struct{}{}}
	limit := int(c.front.config.Load().Limits.MaxHeaderBytes)
	if limit <= 0 {
		limit = unlimitedHeader
	}
	m.h2 = h2.NewServer(m, h2.Options{MaxHeader: limit, Handle: m.take})
	c.mu.Lock()
	c.phase, c.many = forStreams, m
	c.mu.Unlock()
	if c.front.retiring.Load() { // else who sets it finds the connection
		m.h2.Shutdown()
	}
	m.h2.Run()
	m.answers.Wait()
	c.linger()
}

// Read takes what comes next. While nothing does, the connection holds no buffer.
func (m *http2Conn) Read(p []byte) (int, error) { return m.conn.in.Next(p) }

// Write gives the client as long as it takes, while it takes something.
func (m *http2Conn) Write(p []byte) (int, error) {
	m.conn.progress()
	return m.conn.in.Write(p)
}

// Buffered is how much Read has without waiting.
func (m *http2Conn) Buffered() int { return len(m.conn.in.Buffered()) }

// Stop ends the reading.
func (m *http2Conn) Stop() { _ = m.conn.in.TCP.SetReadDeadline(time.Unix(1, 0)) }

// take has a request answered.
func (m *http2Conn) take(s *h2.Stream) { m.answers.Go(func() { m.answer(s) }) }

func (m *http2Conn) answer(s *h2.Stream) {
	h := http2s.Get().(*http2)
	h.start(m, s)
	defer func() {
		if p := recover(); p != nil { // one request is lost, and not all of them
			m.conn.front.logger.Error("A request was not handled", "panic", p, "stack", string(debug.Stack()))
			s.Abandon()
			m.left(h)
			return
		}
		s.Release()
		m.left(h)
		h.stop()
		http2s.Put(h)
	}()
	h.answer()
}

// busy notes that a request waits for its answer.
func (m *http2Conn) busy(h *http2) {
	m.mu.Lock()
	m.streams[h] = struct{}{}
	m.mu.Unlock()
	if m.conn.front.over.Load() {
		h.x.end(errCut)
	}
}

func (m *http2Conn) left(h *http2) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.streams, h)
}

// check ends what has taken too long.
func (m *http2Conn) check(now, head, idle time.Duration) {
	m.h2.Check(head, idle)
	m.mu.Lock()
	defer m.mu.Unlock()
	for h := range m.streams {
		if h.limit > 0 && now-h.began > h.limit {
			h.x.end(context.DeadlineExceeded)
		}
		if m.conn.front.drained(h.began, now) {
			h.x.end(errCut)
		}
	}
}

// cut ends the requests that wait for their answers.
func (m *http2Conn) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for h := range m.streams {
		h.x.end(errCut)
	}
}
