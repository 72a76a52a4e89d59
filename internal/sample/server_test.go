package sample

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/droverhq/drover/internal/load"
)

// program is the sample program as an instance runs it.
type program struct {
	t    *testing.T
	data string
	url  string
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, c Config, beside ...Service) *program {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &program{t: t, data: t.TempDir(), stop: stop, done: make(chan error, 1)}
	env := map[string]string{"PORT": "0", "DATA_DIR": p.data, "DROVER_INSTANCE": "hello_3"}
	out, in := io.Pipe()
	go func() {
		err := serve(ctx, c, func(name string) string { return env[name] }, in, beside...)
		in.CloseWithError(err)
		p.done <- err
	}()
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // until the program ends
	_, address, _ := strings.Cut(strings.TrimSpace(line), " at ")
	p.url = "http://" + address
	t.Cleanup(p.end)
	return p
}

// end is SIGTERM.
func (p *program) end() {
	p.stop()
	if err := <-p.done; err != nil {
		p.t.Error(err)
	}
	p.done <- nil
}

func (p *program) get(path, nonce string) (status int, h http.Header, body string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set(load.NonceHeader, nonce)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

func TestAnswersAndWritesDownWhatItHandled(t *testing.T) {
	p := start(t, Config{Version: "2.0.0", ErrorEvery: 2})
	status, h, body := p.get("/", "one")
	if status != 200 || h.Get(load.VersionHeader) != "2.0.0" || body != "hello from hello_3, version 2.0.0, 0 bytes received\n" {
		t.Errorf("%d %v %q", status, h, body)
	}
	if status, _, _ := p.get("/", "two"); status != 500 {
		t.Errorf("every second one is an error, this is %d", status)
	}
	nonces, err := os.ReadFile(filepath.Join(p.data, "nonces"))
	if err != nil || string(nonces) != "GET one\nGET two\n" {
		t.Errorf("written down: %q, %v", nonces, err)
	}
}

func TestHealth(t *testing.T) {
	p := start(t, Config{FailAfterRequests: 2})
	for requests, want := range []int{200, 200, 500} {
		if status, _, _ := p.get("/healthz", ""); status != want {
			t.Errorf("after %d requests: %d, want %d", requests, status, want)
		}
		p.get("/", "")
	}
	if status, _, _ := start(t, Config{NeverHealthy: true}).get("/healthz", ""); status != 503 {
		t.Errorf("never healthy: %d", status)
	}
}

func TestWebSocketsEndWithTheProgram(t *testing.T) {
	p := start(t, Config{})
	c, _, err := websocket.Dial(t.Context(), p.url+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, b, err := c.Read(t.Context()); err != nil || string(b) != "hello" {
		t.Errorf("echoed %q, %v", b, err)
	}
	p.stop()
	if _, _, err := c.Read(t.Context()); err == nil {
		t.Error("the connection outlives the program")
	}
}

// TestTermEndsADelayedStart: a program that has not begun to listen ends at once, too.
func TestTermEndsADelayedStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		begun := time.Now()
		none := func(string) string { t.Error("it goes on to start"); return "" }
		err := serve(ctx, Config{StartDelayMs: 60_000}, none, io.Discard)
		if took := time.Since(begun); err != nil || took != time.Second {
			t.Errorf("it ended after %s: %v", took, err)
		}
	})
}

func TestConfig(t *testing.T) {
	for text, want := range map[string]Config{
		"": {Version: "1.0.0"}, `{"version":"3.0.0","startDelayMs":7}`: {Version: "3.0.0", StartDelayMs: 7},
	} {
		if c, err := configOf(t, text); err != nil || c != want {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
	}
	if _, err := configOf(t, "["); err == nil || !strings.Contains(err.Error(), "read the configuration") {
		t.Errorf("torn: %v", err)
	}
}

func configOf(t *testing.T, text string) (Config, error) {
	t.Helper()
	folder := t.TempDir()
	if text != "" {
		if err := os.WriteFile(filepath.Join(folder, configFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return readConfig(folder, "1.0.0")
}
