package sample

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/internal/load"
)

// Main runs the program and returns its exit code.
func Main() int {
	c, err := readConfig(".", os.Getenv("DROVER_VERSION"))
	if err == nil && c.ExitCode != 0 {
		return c.ExitCode
	}
	if err == nil {
		ctx, stop := untilTold(c)
		defer stop()
		err = serve(ctx, c, os.Getenv, os.Stdout)
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
func serve(ctx context.Context, c Config, getenv func(string) string, out io.Writer) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(c.startDelay()):
	}
	if c.TCP {
		return serveLines(ctx, c, getenv("PORT"), out)
	}
	nonces, err := notes(getenv, "nonces")
	if err != nil {
		return err
	}
	defer nonces.Close()
	h := &handler{config: c, nonces: nonces, instance: getenv("DROVER_INSTANCE"), ending: ctx}
	if c.AzureGraceMs > 0 {
		told, err := notes(getenv, "told")
		if err != nil {
			return err
		}
		defer told.Close()
		h.azure = newAzure(c, cmp.Or(c.AzureEndpoint, getenv("IMDS_ENDPOINT")), told)
	}
	srv := &http.Server{Handler: h.routes(), ReadHeaderTimeout: 10 * time.Second}
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

// notes is a file in the data folder that lines are added to.
func notes(getenv func(string) string, name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(getenv("DATA_DIR"), name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the list of %s: %w", name, err)
	}
	return f, nil
}

type handler struct {
	config   Config
	azure    *azure // nil: nothing is asked
	instance string
	nonces   *os.File
	handled  atomic.Int64
	ending   context.Context
}

func (h *handler) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", h.health)
	mux.HandleFunc("/selftest", h.selfTest)
	mux.HandleFunc("/ws", h.echo)
	mux.HandleFunc("/", h.answer)
	return mux
}

func (h *handler) health(w http.ResponseWriter, _ *http.Request) {
	switch {
	case h.config.NeverHealthy:
		http.Error(w, "never healthy", http.StatusServiceUnavailable)
	case h.config.FailAfterRequests > 0 && h.handled.Load() >= h.config.FailAfterRequests:
		http.Error(w, "broken by traffic", http.StatusInternalServerError)
	case h.azure != nil && !h.azure.healthy():
		http.Error(w, "to be deleted", http.StatusServiceUnavailable)
	default:
		io.WriteString(w, "ok\n")
	}
}

// selfTest is written down as if it had a nonce.
func (h *handler) selfTest(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(h.nonces, "%s selftest\n", r.Method)
	w.Header().Set("Location", "/healthz")
	w.WriteHeader(cmp.Or(h.config.SelfTest, http.StatusOK))
}

// answer writes the nonce down before it answers. ?ms=N makes it slow, ?bytes=N long.
func (h *handler) answer(w http.ResponseWriter, r *http.Request) {
	n := h.handled.Add(1)
	size, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return // the client is gone, and so is its request
	}
	if nonce := r.Header.Get(load.NonceHeader); nonce != "" {
		if _, err := fmt.Fprintf(h.nonces, "%s %s\n", r.Method, nonce); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	time.Sleep(time.Duration(h.config.DelayMs) * time.Millisecond)
	if ms, err := strconv.Atoi(r.URL.Query().Get("ms")); err == nil && ms > 0 {
		time.Sleep(time.Duration(min(ms, 60_000)) * time.Millisecond)
	}
	w.Header().Set(load.VersionHeader, h.config.Version)
	w.Header().Set("X-Instance", h.instance)
	if e := h.config.ErrorEvery; e > 0 && n%e == 0 {
		http.Error(w, "an error as configured", http.StatusInternalServerError)
		return
	}
	if n, err := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64); err == nil && n > 0 {
		n = min(n, maxAnswer)
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		_, _ = io.CopyN(w, zeros{}, n) // the client may have gone
		return
	}
	fmt.Fprintf(w, "hello from %s, version %s, %d bytes received\n", h.instance, h.config.Version, size)
}

// maxAnswer bounds ?bytes.
const maxAnswer = 1 << 30

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// echo answers every message until the client or the gateway closes.
func (h *handler) echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, message, err := c.Read(h.ending)
		if err != nil {
			return
		}
		if err := c.Write(h.ending, kind, message); err != nil {
			return
		}
	}
}
