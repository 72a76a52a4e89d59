package imds

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer is a server for the handlers of this package in which no client waits,
// or makes others wait, without a limit.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10*time.Second + approveTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger(log).Handler(), slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // it would answer 200 to who knows no secret
	}
}
