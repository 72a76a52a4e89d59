package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/testtool"
)

const largeBody = 50 << 20

// largeServer answers an upload with its digest, and a download with large bytes.
func largeServer(large []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/up":
			h := sha256.New()
			_, _ = io.Copy(h, r.Body)
			fmt.Fprintf(w, "%x", h.Sum(nil))
		case "/down":
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			_, _ = w.Write(large)
		case "/chunks":
			_, _ = w.Write(large)
		case "/refuse":
			w.WriteHeader(413)
			fmt.Fprint(w, "too much")
		case "/echo":
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = io.Copy(w, r.Body)
		default:
			fmt.Fprint(w, "hello")
		}
	})
}

// Other people's clients see what was sent.
func TestOtherClients(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), largeBody/16)
	digest := fmt.Sprintf("%x", sha256.Sum256(large))
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, large, 0o600); err != nil {
		t.Fatal(err)
	}
	g := newRig(t)
	g.serve("a", largeServer(large))
	run := func(t *testing.T, program string, args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), testtool.Require(t, program), args...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%.2000s", cmd, err, out)
		}
		return out
	}
	same := func(t *testing.T, got []byte) {
		t.Helper()
		if !bytes.Equal(got, large) {
			t.Errorf("got %d other bytes", len(got))
		}
	}
	curl := []string{"--http2-prior-knowledge", "--silent", "--show-error", "--fail", "--max-time", "60"}
	for _, path := range []string{"/down", "/chunks"} {
		t.Run("curl"+path, func(t *testing.T) { same(t, run(t, "curl", append(curl, g.url(path))...)) })
		t.Run("nghttp"+path, func(t *testing.T) { same(t, run(t, "nghttp", "--timeout=60", g.url(path))) })
	}
	t.Run("curl/up", func(t *testing.T) {
		for _, more := range [][]string{nil, {"-H", "Content-Length:", "-T", "-"}, {"-H", "Expect: 100-continue"}} {
			args := append(append(curl, "--data-binary", "@"+file), more...)
			if more != nil && strings.HasPrefix(more[1], "Content") {
				args = append(curl, "-X", "POST", "-T", file, "-H", "Content-Length:")
			}
			if got := string(run(t, "curl", append(args, g.url("/up"))...)); got != digest {
				t.Errorf("the instance had other bytes: %q", got)
			}
		}
	})
	t.Run("curl/refuse", func(t *testing.T) { // it takes a reset for an error
		if got := string(run(t, "curl", "--http2-prior-knowledge", "--silent", "--show-error", "--data-binary", "@"+file, g.url("/refuse"))); got != "too much" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("nghttp/up", func(t *testing.T) {
		if got := string(run(t, "nghttp", "--timeout=60", "-d", file, g.url("/up"))); got != digest {
			t.Errorf("the instance had other bytes: %q", got)
		}
	})
	t.Run("nghttp/echo", func(t *testing.T) { same(t, run(t, "nghttp", "--timeout=60", "-d", file, g.url("/echo"))) })
	t.Run("h2load", func(t *testing.T) {
		for _, args := range [][]string{{"-n5000", "-c8", "-m50", g.url("/")}, {"-n500", "-c4", "-m100", "-w4", "-W4", g.url("/")}, {"-n20", "-c4", "-m5", g.url("/down")}, {"-n20", "-c4", "-m5", "-d", file, g.url("/up")}} {
			out := run(t, "h2load", args...)
			if !regexp.MustCompile(`, 0 failed, 0 errored, 0 timeout`).Match(out) || !bytes.Contains(out, []byte(" 0 3xx, 0 4xx, 0 5xx")) {
				t.Errorf("h2load %v: %s", args, out)
			}
		}
	})
	t.Run("Go", func(t *testing.T) {
		c := g.client2()
		resp, got, err := do(t, c, "GET", g.url("/down"), nil)
		if err != nil || resp.ProtoMajor != 2 {
			t.Fatal(resp, err)
		}
		same(t, []byte(got))
		if _, got, err := do(t, c, "POST", g.url("/up"), large); err != nil || got != digest {
			t.Errorf("got %q, %v", got, err)
		}
	})
	if got := countsOf(&g.counters); got.failed+got.cut+got.errors > 0 {
		t.Errorf("counted %+v", got)
	}
}
