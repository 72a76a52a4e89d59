package sample

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/load"
)

// ask is one request over the protocol that client speaks.
func (p *program) ask(client *http.Client, method, path, nonce string, body io.Reader) *http.Response {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set(load.NonceHeader, nonce)
	resp, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// speaking makes clients of HTTP/1.1, and of HTTP/2 on a connection without TLS.
func speaking(t *testing.T) map[string]*http.Client {
	clients := map[string]*http.Client{}
	for name, protocols := range map[string]func(*http.Protocols, bool){
		"HTTP/1.1": (*http.Protocols).SetHTTP1, "HTTP/2.0": (*http.Protocols).SetUnencryptedHTTP2,
	} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		protocols(transport.Protocols, true)
		t.Cleanup(transport.CloseIdleConnections)
		clients[name] = &http.Client{Transport: transport}
	}
	return clients
}

func TestTransfers(t *testing.T) {
	p := start(t, Config{Version: "2.0.0"})
	const size = 1 << 20
	for protocol, client := range speaking(t) {
		nonce := "up-" + protocol
		resp := p.ask(client, http.MethodPut, "/upload", nonce, load.Content(nonce, size))
		answer, err := io.ReadAll(resp.Body)
		want := sha256.New()
		_, _ = io.Copy(want, load.Content(nonce, size))
		if err != nil || resp.Proto != protocol || string(answer) != fmt.Sprintf("%d %x\n", size, want.Sum(nil)) {
			t.Errorf("%s: the upload is answered with %q, %v", resp.Proto, answer, err)
		}
		for query, length := range map[string]int64{"": size, "&chunked": -1} {
			nonce := "down-" + protocol + query
			resp := p.ask(client, http.MethodGet, fmt.Sprintf("/download?bytes=%d%s", size, query), nonce, nil)
			got, err := io.ReadAll(resp.Body)
			want, _ := io.ReadAll(load.Content(nonce, size))
			if err != nil || resp.ContentLength != length || string(got) != string(want) {
				t.Errorf("%s: %d bytes came with the length %d, %v", nonce, len(got), resp.ContentLength, err)
			}
		}
	}
	noted, err := os.ReadFile(filepath.Join(p.data, "nonces"))
	if err != nil || strings.Count(string(noted), "\n") != 6 {
		t.Errorf("written down: %q, %v", noted, err)
	}
}

// TestEventsGoOnWhereTheyWere: after Last-Event-ID, and to an end of file when the program ends.
func TestEventsGoOnWhereTheyWere(t *testing.T) {
	for _, client := range speaking(t) {
		p := start(t, Config{Version: "2.0.0"})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/events?ms=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", "41")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(resp.Body)
		for _, want := range []string{"id: 42", "data: 2.0.0", "", "id: 43"} {
			if !lines.Scan() || lines.Text() != want {
				t.Errorf("%q came, not %q: %v", lines.Text(), want, lines.Err())
			}
		}
		if resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get(load.InstanceHeader) != "hello_3" {
			t.Errorf("the head is %v", resp.Header)
		}
		p.stop()
		for lines.Scan() {
		}
		if err := lines.Err(); err != nil {
			t.Errorf("the stream broke off: %v", err)
		}
		resp.Body.Close()
	}
}

// TestServicesBeside: what a program serves beside its own can write down and sign.
func TestServicesBeside(t *testing.T) {
	beside := func(p Program) (string, http.Handler) {
		return "/beside", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := p.Note("CALL", r.Header.Get(load.NonceHeader)); err != nil {
				t.Error(err)
			}
			fmt.Fprint(w, p.Version, " ", p.Instance)
		})
	}
	p := start(t, Config{Version: "2.0.0"}, beside)
	_, _, body := p.get("/beside", "one")
	noted, err := os.ReadFile(filepath.Join(p.data, "nonces"))
	if err != nil || body != "2.0.0 hello_3" || string(noted) != "CALL one\n" {
		t.Errorf("answered %q and written down %q, %v", body, noted, err)
	}
}
