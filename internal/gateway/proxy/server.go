package proxy

import (
	"context"
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
	s := &server{feed: &feed{conns: make(chan net.Conn), closed: make(chan struct{})}}
	header := int(l.MaxHeaderBytes)
	if header == 0 {
		header = unlimitedHeader
	}
	s.http = &http.Server{
		Handler:           http.HandlerFunc(f.serveHTTP),
		ReadHeaderTimeout: time.Duration(l.HeaderTimeout),
		IdleTimeout:       time.Duration(l.IdleTimeout),
		MaxHeaderBytes:    header,
		BaseContext:       func(net.Listener) context.Context { return f.ctx },
		ErrorLog:          log.New(logWriter{f.logger}, "", 0),
		// OPTIONS * goes to the backend like any other request.
		DisableGeneralOptionsHandler: true,
	}
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.leaving.Load() {
			w.Header()["Connection"] = []string{"close"}
		}
		f.serveHTTP(w, r)
	})
	s.done.Go(func() { _ = s.http.Serve(s.feed) })
	return s
}

// serve takes a connection over.
func (s *server) serve(c *conn) {
	s.connections.Add(1)
	left := c.left
	c.left = func() {
		left()
		s.connections.Add(-1)
	}
	if !s.feed.put(c) {
		_ = c.Close()
	}
}

// close ends the server with its connections; taken-over ones are not its own.
func (s *server) close() {
	_ = s.http.Close()
	s.done.Wait()
}

// conn is a client's connection that is counted until it is closed.
type conn struct {
	*net.TCPConn
	left func()
	once sync.Once
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
