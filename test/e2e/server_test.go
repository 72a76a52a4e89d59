package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/client/imagepush"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// server is a real `drover up` on a folder of its own.
type server struct {
	t       *testing.T
	program string // that is the server
	data    string
	args    []string
	log     *lockedBuffer
	cmd     *exec.Cmd
	client  *client.Client
	base    v1.Image // the workload's layer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newServer makes a server that does not run yet; what it starts is gone, and
// checked to be gone, at the test's end.
func newServer(t *testing.T, args ...string) *server {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		check(t, os.Chmod(d, 0o711)) // instances run as users of their own and must pass through
	}
	return newServerIn(t, filepath.Join(dir, "data"), args...)
}

func newServerIn(t *testing.T, data string, args ...string) *server {
	t.Helper()
	s := &server{t: t, program: drover, data: data, args: args, log: &lockedBuffer{}}
	var err error
	s.client, err = client.New(client.Options{Data: s.data, ConnectTimeout: 20 * time.Second, Patience: time.Minute})
	check(t, err)
	t.Cleanup(s.tearDown)
	return s
}

func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	s := newServer(t, args...)
	s.start()
	return s
}

func (s *server) start() {
	s.t.Helper()
	args := append([]string{"up", "--listen", "127.0.0.1:0", "--data", s.data}, s.args...)
	s.cmd = exec.Command(s.program, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	check(s.t, s.cmd.Start())
	s.eventually(20*time.Second, "the server answers", func() (bool, error) {
		if s.cmd.ProcessState == nil && syscall.Kill(s.cmd.Process.Pid, 0) != nil {
			return false, fmt.Errorf("it has ended")
		}
		_, err := s.client.List(s.ctx(), resource.KindScaleSet, client.Filter{})
		return err == nil, nil
	})
}

// kill ends the control process the hard way.
func (s *server) kill() {
	s.t.Helper()
	check(s.t, s.cmd.Process.Kill())
	s.cmd.Wait()
}

// stop is Ctrl-C: instances and the gateway go on.
func (s *server) stop() {
	s.t.Helper()
	check(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	check(s.t, s.cmd.Wait())
}

func (s *server) tearDown() {
	s.client.Close()
	out, err := exec.Command(drover, "down", "--data", s.data).CombinedOutput()
	if err != nil {
		s.t.Errorf("drover down: %v\n%s", err, out)
	}
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	}
	s.nothingRuns()
	if s.t.Failed() {
		s.t.Logf("server's log:\n%s", tail(s.log.String(), 8000))
		if text, err := os.ReadFile(filepath.Join(s.data, "run", "gateway.log")); err == nil {
			s.t.Logf("gateway's log:\n%s", tail(string(text), 4000))
		}
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

func (s *server) ctx() context.Context { return context.Background() }

// drover runs a command of the command line and returns its standard output.
func (s *server) drover(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := exec.Command(drover, args...)
	cmd.Env = append(os.Environ(), "DROVER_DATA="+s.data)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (s *server) mustDrover(args ...string) string {
	s.t.Helper()
	out, errs, code := s.drover(args...)
	if code != 0 {
		s.t.Fatalf("drover %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// push publishes a version of the sample program that behaves as c says.
func (s *server) push(ref string, c sample.Config) {
	s.t.Helper()
	if c.Version == "" {
		_, c.Version, _ = strings.Cut(ref, ":")
	}
	options := imagepush.Options{Entrypoint: []string{"./workload"}}
	if s.base == nil {
		options.Layers = []imagepush.Folder{{Path: filepath.Dir(workload)}}
		var err error
		s.base, err = imagepush.Build(s.ctx(), options)
		check(s.t, err)
	}
	folder := s.t.TempDir()
	text, err := json.Marshal(c)
	check(s.t, err)
	check(s.t, os.WriteFile(filepath.Join(folder, "sample.json"), text, 0o644))
	options.Base, options.Layers = s.base, []imagepush.Folder{{Path: folder}}
	image, err := imagepush.Build(s.ctx(), options)
	check(s.t, err)
	check(s.t, s.client.PushImage(s.ctx(), ref, image, nil))
}

// apply writes documents as a user does.
func (s *server) apply(yaml string, args ...string) {
	s.t.Helper()
	if out, code := s.tryApply(yaml, args...); code != 0 {
		s.t.Fatalf("drover apply: exit %d\n%s\n%s", code, out, yaml)
	}
}

func (s *server) tryApply(yaml string, args ...string) (output string, code int) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "documents.yaml")
	check(s.t, os.WriteFile(path, []byte(yaml), 0o644))
	out, errs, code := s.drover(append([]string{"apply", "-f", path}, args...)...)
	return out + errs, code
}

// eventually waits for a condition, for a time that only a broken server needs.
func (s *server) eventually(limit time.Duration, what string, ok func() (bool, error)) {
	s.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		done, err := ok()
		if err != nil {
			s.t.Fatalf("waiting until %s: %v", what, err)
		}
		if done {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("after %s it is still not so that %s\n%s", limit, what, s.state())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// state is what an operator would look at.
func (s *server) state() string {
	var b strings.Builder
	for _, kind := range []string{"scalesets", "instances", "rollouts", "loadbalancers"} {
		out, errs, _ := s.drover("get", kind)
		b.WriteString(out + errs + "\n")
	}
	return b.String()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// metrics is what Prometheus would scrape.
func (s *server) metrics() string {
	s.t.Helper()
	token, err := os.ReadFile(filepath.Join(s.data, "admin.token"))
	check(s.t, err)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(s.data, "run", "api.sock"))
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest("GET", "http://drover/metrics", nil)
	check(s.t, err)
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := transport.RoundTrip(req)
	check(s.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(s.t, err)
	return string(text)
}
