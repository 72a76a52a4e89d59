package sample

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/internal/load"
)

type handler struct {
	config       Config
	azure        *azure // nil: nothing is asked
	instance     string
	nonces, told *os.File
	handled      atomic.Int64
	ending       context.Context
}

func newHandler(ctx context.Context, c Config, getenv func(string) string) (h *handler, err error) {
	h = &handler{config: c, instance: getenv("DROVER_INSTANCE"), ending: ctx}
	if h.nonces, err = notes(getenv, "nonces"); err != nil || c.AzureGraceMs == 0 {
		return h, err
	}
	if h.told, err = notes(getenv, "told"); err != nil {
		h.close()
		return nil, err
	}
	h.azure = newAzure(c, cmp.Or(c.AzureEndpoint, getenv("IMDS_ENDPOINT")), h.told)
	return h, nil
}

func (h *handler) close() {
	h.nonces.Close()
	h.told.Close()
}

// notes is a file in the data folder that lines are added to.
func notes(getenv func(string) string, name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(getenv("DATA_DIR"), name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the list of %s: %w", name, err)
	}
	return f, nil
}

func (h *handler) routes(beside []Service) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", h.health)
	mux.HandleFunc("/selftest", h.selfTest)
	mux.HandleFunc("/ws", h.echo)
	mux.HandleFunc("/events", h.events)
	mux.HandleFunc("/upload", h.upload)
	mux.HandleFunc("/download", h.download)
	mux.HandleFunc("/", h.answer)
	for _, service := range beside {
		mux.Handle(service(Program{Version: h.config.Version, Instance: h.instance, Note: h.note, Ending: h.ending}))
	}
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

// answer writes the nonce down before it answers. ?ms=N makes it slow.
func (h *handler) answer(w http.ResponseWriter, r *http.Request) {
	n := h.handled.Add(1)
	size, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return // the client is gone, and so is its request
	}
	if !h.noted(w, r) {
		return
	}
	time.Sleep(time.Duration(h.config.DelayMs) * time.Millisecond)
	if ms, err := strconv.Atoi(r.URL.Query().Get("ms")); err == nil && ms > 0 {
		time.Sleep(time.Duration(min(ms, 60_000)) * time.Millisecond)
	}
	if e := h.config.ErrorEvery; e > 0 && n%e == 0 {
		http.Error(w, "an error as configured", http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(w, "hello from %s, version %s, %d bytes received\n", h.instance, h.config.Version, size)
}

// noted writes the request down, and says in the answer's head who has it. It is
// false when that could not be done, and the request was answered with an error.
func (h *handler) noted(w http.ResponseWriter, r *http.Request) bool {
	if nonce := r.Header.Get(load.NonceHeader); nonce != "" {
		if err := h.note(r.Method, nonce); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return false
		}
	}
	h.sign(w)
	return true
}

func (h *handler) note(method, nonce string) error {
	_, err := fmt.Fprintf(h.nonces, "%s %s\n", method, nonce)
	return err
}

func (h *handler) sign(w http.ResponseWriter) {
	w.Header().Set(load.VersionHeader, h.config.Version)
	w.Header().Set(load.InstanceHeader, h.instance)
}

// echo answers every message until the client or the gateway closes.
func (h *handler) echo(w http.ResponseWriter, r *http.Request) {
	h.sign(w)
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
