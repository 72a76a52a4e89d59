package cli

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spf13/cobra"
)

func TestExitCodes(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		args []string
		code int
		err  string
	}{
		{[]string{}, 0, ""},
		{[]string{"version"}, 0, ""},
		{[]string{"help", "rollout", "start"}, 0, ""},
		{[]string{"frobnicate"}, 2, "there is no command \"frobnicate\""},
		{[]string{"statsu"}, 2, "did you mean status?"},
		{[]string{"rollout", "begin"}, 2, "there is no command \"begin\""},
		{[]string{"get"}, 2, "accepts between 1 and 2 arg(s)"},
		{[]string{"get", "scaleset", "--frob"}, 2, "unknown flag: --frob"},
		{[]string{"get", "scalesets", "-o", "xml"}, 2, "want table, json or yaml"},
		{[]string{"get", "pods"}, 2, "there is no kind"},
		{[]string{"get", "topics"}, 2, "not yet supported"},
		{[]string{"get", "scalesets", "-l", "zone"}, 2, "want KEY=VALUE"},
		{[]string{"get", "scaleset", "hello", "--set", "x"}, 2, "narrow a list"},
		{[]string{"get", "scaleset", "none"}, 1, "none"},
		{[]string{"logs", "hello"}, 1, "drover: \"hello\" is not an instance's name: write SET_NUMBER, for example hello_3\n"},
		{[]string{"get", "scaleset", "Hello!"}, 1, "drover: \"Hello!\""},
		{[]string{"get", "scalesets", "--server", "http://hub.example"}, 2, "clear text"},
		{[]string{"delete", "scaleset"}, 2, "--all"},
		{[]string{"delete", "scaleset", "x", "--all"}, 2, "--all"},
		{[]string{"scale", "hello", "many"}, 2, "not a number"},
		{[]string{"scale", "hello", "-1"}, 2, ""},
		{[]string{"scale", "none", "1"}, 1, ""},
		{[]string{"version", "extra"}, 2, ""},
		{[]string{"diff"}, 2, "-f"},
		{[]string{"diff", "-f", filepath.Join(w.data, "none.yaml")}, 2, "none.yaml"},
		{[]string{"apply"}, 2, "-f"},
		{[]string{"apply", "-f", filepath.Join(w.data, "none.yaml")}, 1, "none.yaml"},
		{[]string{"rollout", "start", "hello", "--strategy", "Canary"}, 2, "BlueGreen or Rolling"},
		{[]string{"rollout", "pause", "hello", "--for", "soon"}, 2, "not a duration"},
		{[]string{"rollout", "status", "none"}, 1, ""},
		{[]string{"token", "create", "ci"}, 2, "--role is needed"},
		{[]string{"token", "create", "ci", "--role", "God"}, 2, "Reader"},
		{[]string{"image", "push", "hello:1", "."}, 2, "Major.Minor.Patch"},
		{[]string{"image", "push", "hello:1.0.0", "."}, 2, "--entrypoint is needed"},
		{[]string{"image", "push", "hello:1.0.0", ".", "--entrypoint", "a | b"}, 2, "no shell"},
		{[]string{"image", "push", "hello:1.0.0", filepath.Join(w.data, "none"), "--entrypoint", "a"}, 1, "none"},
		{[]string{"up", "--server", "x"}, 2, "unknown flag: --server"},
		{[]string{"up", "--listen", "7400"}, 2, "HOST:PORT"},
		{[]string{"up", "--port-range", "9-8"}, 2, "LOW-HIGH"},
		{[]string{"up", "--port-range", "9-80000"}, 2, "no port 80000"},
		{[]string{"up", "--tls-cert", "x"}, 2, "belong together"},
		{[]string{"up", "--log-format", "xml"}, 2, "text or json"},
	}
	for _, tt := range tests {
		got := w.run(tt.args...)
		if got.code != tt.code || !strings.Contains(got.err, tt.err) {
			t.Errorf("%v: exit %d, want %d\n%swant %q", tt.args, got.code, tt.code, got.err, tt.err)
		}
		if got.code != 0 && !strings.Contains(got.err, "1 problem; nothing was written") && (!strings.HasPrefix(got.err, "drover: ") || strings.Count(got.err, "\n") != 1) {
			t.Errorf("%v: the error is not one line that begins with drover: %q", tt.args, got.err)
		}
	}
}

func TestTheAdminTokenStaysOnThisMachine(t *testing.T) {
	w := newWorld(t)
	var asked atomic.Int32
	var secret atomic.Value
	elsewhere := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		secret.Store(r.Header.Get("Authorization"))
		out.Write([]byte(`{"items":[],"revision":1}`))
	}))
	defer elsewhere.Close()
	for name, env := range map[string]map[string]string{"flag": nil, "environment": {"DROVER_SERVER": elsewhere.URL}} {
		args := []string{"get", "scalesets"}
		if env == nil {
			args = append(args, "--server", elsewhere.URL)
		}
		got := w.runIn(t.Context(), env, "", args...)
		if got.code != 1 || !strings.Contains(got.err, "no token for "+elsewhere.URL) || asked.Load() != 0 {
			t.Errorf("%s: exit %d, %d requests: %s", name, got.code, asked.Load(), got.err)
		}
	}
	got := w.runIn(t.Context(), map[string]string{"DROVER_TOKEN": "given", "DROVER_SERVER": elsewhere.URL}, "", "get", "scalesets")
	if got.code != 0 || secret.Load() != "Bearer given" {
		t.Errorf("exit %d, sent %v: %s", got.code, secret.Load(), got.err)
	}
	file := w.write("ci.token", "from-file\n")
	got = w.runIn(t.Context(), map[string]string{"DROVER_TOKEN": "given"}, "", "get", "scalesets", "--server", elsewhere.URL, "--token-file", file)
	if got.code != 0 || secret.Load() != "Bearer from-file" {
		t.Errorf("exit %d, sent %v: %s", got.code, secret.Load(), got.err)
	}
}

func TestHelp(t *testing.T) {
	c := &cli{}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s has no short text or no example", cmd.CommandPath())
		}
		if strings.HasSuffix(cmd.Short, ".") || len(cmd.Short) > 70 {
			t.Errorf("%s: %q is no headline", cmd.CommandPath(), cmd.Short)
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(c.rootCommand())
}

func TestCompletion(t *testing.T) {
	w := newWorld(t)
	put(w, scaleSet("hello", 1))
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"__complete", "get", "sc"}, "scalesets\n"},
		{[]string{"__complete", "get", "scaleset", "h"}, "hello\n"},
		{[]string{"__complete", "rollout", "status", ""}, "hello\n"},
		{[]string{"__complete", "token", "create", "x", "--role", ""}, "Publisher\n"},
		{[]string{"completion", "bash"}, "__start_drover"},
	}
	for _, tt := range tests {
		if got := w.run(tt.args...); got.code != 0 || !strings.Contains(got.out, tt.want) {
			t.Errorf("%v: exit %d\n%s%s", tt.args, got.code, got.out, got.err)
		}
	}
	w.stop()
	if got := w.run("__complete", "get", "scaleset", "h"); got.code != 0 || strings.Contains(got.out, "hello") {
		t.Errorf("without a server: exit %d\n%s", got.code, got.out)
	}
}
