package api

import (
	"crypto/tls"
	"log/slog"
	"net/http"
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
