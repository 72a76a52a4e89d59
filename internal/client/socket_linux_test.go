package client

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A data folder may lie deeper than a socket's address is long.
func TestLongSocketPath(t *testing.T) {
	data := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	run := filepath.Join(data, "run")
	if err := os.MkdirAll(run, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(data, "admin.token"), adminToken)
	dir, err := os.Open(run)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/api.sock", dir.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, hello(1)) })}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	if _, err := newClient(t, Options{Data: data}).Get(t.Context(), "ScaleSet", "hello"); err != nil {
		t.Fatal(err)
	}
}
