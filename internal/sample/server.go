package sample

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Program is what a service beside the program's own may know of it.
type Program struct {
	Version, Instance string
	// Note writes down that a request was handled.
	Note func(method, nonce string) error
	// Ending ends with the program's own time.
	Ending context.Context
}

// Service makes the handler of a path that a program serves beside its own.
type Service func(Program) (path string, h http.Handler)

// Main runs the program and returns its exit code.
func Main(beside ...Service) int {
	c, err := readConfig(".", os.Getenv("DROVER_VERSION"))
	if err == nil && c.ExitCode != 0 {
		return c.ExitCode
	}
	if err == nil {
		ctx, stop := untilTold(c)
		defer stop()
		err = serve(ctx, c, os.Getenv, os.Stdout, beside...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sample:", err)
		return 1
	}
	return 0
}

// untilTold ends with the signals that the program heeds.
func untilTold(c Config) (context.Context, context.CancelFunc) {
	if c.IgnoreTerm {
		signal.Ignore(syscall.SIGTERM)
		return context.WithCancel(context.Background())
	}
	return signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
}

// serve serves until ctx ends and what is in flight was answered.
func serve(ctx context.Context, c Config, getenv func(string) string, out io.Writer, beside ...Service) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(c.startDelay()):
	}
	if c.TCP {
		return serveLines(ctx, c, getenv("PORT"), out)
	}
	h, err := newHandler(ctx, c, getenv)
	if err != nil {
		return err
	}
	defer h.close()
	srv := &http.Server{Handler: h.routes(beside), ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", getenv("PORT")))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "serving version %s at %s\n", c.Version, l.Addr())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(limit); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("shut down: %w", err)
	}
	fmt.Fprintln(out, "ended in order")
	return nil
}
