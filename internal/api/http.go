package api

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// NewHTTPServer is the http.Server for the API: what its handler cannot bound
// itself is bounded here. Shutdown ends the streams, which would hold it up.
// TLS is nil for plain listeners.
func NewHTTPServer(s *Server, t *tls.Config) *http.Server {
	hs := &http.Server{
		Handler:           s,
		TLSConfig:         t,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		// Clients that hang up and port scanners are no news for operators.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	hs.RegisterOnShutdown(s.endStreams)
	return hs
}

// maxConnections keeps connections from using up the descriptors that rollouts,
// the store and the gallery need.
const maxConnections = 4096

// Limit bounds how many connections of a listener are open at once: the next
// waits in the backlog until one closes.
func Limit(l net.Listener) net.Listener {
	return &limited{Listener: l, open: make(chan struct{}, maxConnections), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	open   chan struct{} // holds one for each connection
	close  sync.Once
	closed chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &counted{Conn: c, leave: sync.OnceFunc(func() { <-l.open })}, nil
}

func (l *limited) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// counted is a connection that gives its place back when it closes.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
