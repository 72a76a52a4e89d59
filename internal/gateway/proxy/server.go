package proxy

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

// server is net/http's, for connections that began under the same limits.
type server struct {
	front       *Front
	http        *http.Server
	feed        *feed
	done        sync.WaitGroup
	connections atomic.Int64
	leaving     atomic.Bool // connections end with their next answer
}

// sameServer says whether two limits differ in nothing that net/http's server is made with.
func sameServer(a, b resource.LoadBalancerLimits) bool {
	return a.MaxHeaderBytes == b.MaxHeaderBytes && a.HeaderTimeout == b.HeaderTimeout && a.IdleTimeout == b.IdleTimeout
}

// unlimitedHeader is what "no limit" of a header's size means: a process's memory has one.
const unlimitedHeader = 16 << 20

func newServer(f *Front, l resource.LoadBalancerLimits) *server {
	s := &server{front: f, feed: &feed{conns: make(chan net.Conn), closed: make(chan struct{})}}
	header := int(l.MaxHeaderBytes)
	if header == 0 {
		header = unlimitedHeader
	}
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.handle),
		ReadHeaderTimeout: time.Duration(l.HeaderTimeout),
		IdleTimeout:       time.Duration(l.IdleTimeout),
		MaxHeaderBytes:    header,
		BaseContext:       func(net.Listener) context.Context { return f.ctx },
		ErrorLog:          log.New(logWriter{f.logger}, "", 0),
		// OPTIONS * goes to the backend like any other request.
		DisableGeneralOptionsHandler: true,
	}
	s.done.Go(func() { _ = s.http.Serve(s.feed) })
	return s
}

// serve takes over a connection that is counted in already, and calls left when it is closed.
func (s *server) serve(tcp *net.TCPConn, left func()) {
	c := &conn{TCPConn: tcp, slow: stall{timeout: s.http.IdleTimeout}, left: func() {
		left()
		s.connections.Add(-1)
	}}
	if !s.feed.put(c) {
		_ = c.Close()
	}
}

// handle is every request's way in.
func (s *server) handle(w http.ResponseWriter, r *http.Request) {
	f := s.front
	f.active.Add(1)
	defer f.active.Add(-1)
	c := f.config.Load()
	switch {
	case r.Method == http.MethodConnect:
		w.Header()["Connection"] = []string{"close"}
		s.plain(w, http.StatusMethodNotAllowed, "this is not a forward proxy")
		return
	case !hasTarget(r):
		s.plain(w, http.StatusBadRequest, "the request's target is no path")
		return
	}
	route := c.Routes.Match(r.Host, r.URL.Path)
	if route == nil {
		s.plain(w, http.StatusNotFound, "no route matches")
		return
	}
	peer := peerOf(r.RemoteAddr)
	x := &exchange{front: f, server: s, config: c, route: route, w: w, r: r, began: time.Now()}
	x.head = requestHead{upgrade: upgradeOf(r), trusted: trusts(c.Trusted, peer), peer: peer}
	x.run()
}

// plain is an answer of the gateway's own.
func (s *server) plain(w http.ResponseWriter, status int, why string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	s.mark(h)
	w.WriteHeader(status)
	fmt.Fprintf(w, "%d %s: %s\n", status, http.StatusText(status), why)
}

// mark tells the client that its connection ends with this answer, when that is so.
func (s *server) mark(h http.Header) {
	if s.leaving.Load() || s.front.retiring.Load() {
		h["Connection"] = []string{"close"}
	}
}

// close ends the server with its connections; taken-over ones are not its own.
func (s *server) close() {
	_ = s.http.Close()
	s.done.Wait()
}

// conn is a client's connection that is counted until it is closed.
// A client that does not read loses it: whatever it is that is written, it must
// make progress. Reads have limits of their own.
type conn struct {
	*net.TCPConn
	left func()
	once sync.Once
	slow stall
}

func (c *conn) Write(p []byte) (int, error) {
	c.slow.extend(c.TCPConn.SetWriteDeadline)
	return c.TCPConn.Write(p)
}

// SetWriteDeadline is net/http's, which ends every deadline with the request.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.slow.set = time.Time{}
	return c.TCPConn.SetWriteDeadline(t)
}

func (c *conn) Close() error {
	err := c.TCPConn.Close()
	c.once.Do(c.left)
	return err
}

// feed is the listener that a server sees: connections accepted elsewhere.
type feed struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (f *feed) put(c net.Conn) bool {
	select {
	case f.conns <- c:
		return true
	case <-f.closed:
		return false
	}
}

func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

func (f *feed) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

func (f *feed) Addr() net.Addr { return &net.TCPAddr{} }

// logWriter takes net/http's own complaints, which hold no header or query.
type logWriter struct{ logger *slog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	w.logger.Debug("http: " + string(p))
	return len(p), nil
}
