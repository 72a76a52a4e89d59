package client

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, hello(1)) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tested
	server.StartTLS()
	defer server.Close()
	cert := server.Certificate()
	sum := sha256.Sum256(cert.Raw)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writeFile(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
	pin := "sha256:" + hex.EncodeToString(sum[:])
	wrongName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)

	tests := []struct {
		name    string
		o       Options
		problem string
	}{
		{"unknown CA", Options{Server: server.URL}, "--ca-file"},
		{"CA file", Options{Server: server.URL, CAFile: ca}, ""},
		{"pin", Options{Server: server.URL, Pin: pin}, ""},
		{"pin in capitals", Options{Server: server.URL, Pin: strings.ToUpper(pin)}, ""},
		{"another pin", Options{Server: server.URL, Pin: "sha256:" + strings.Repeat("0", 64)}, errPin.Error()},
		{"pin, wrong name", Options{Server: wrongName, Pin: pin}, "localhost"},
		{"CA file, wrong name", Options{Server: wrongName, CAFile: ca}, "localhost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Token = "x"
			_, err := newClient(t, tt.o).Get(t.Context(), "ScaleSet", "hello")
			if tt.problem == "" && err != nil || tt.problem != "" && (err == nil || !strings.Contains(err.Error(), tt.problem)) {
				t.Errorf("got %v, want %q", err, tt.problem)
			}
		})
	}
	for _, o := range []Options{{Pin: "sha256:12"}, {Pin: pin[7:]}, {CAFile: ca, Pin: pin}, {CAFile: filepath.Join(t.TempDir(), "none")}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
