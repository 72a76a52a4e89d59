package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/internal/resource"
)

// fakeServer records what up does with it.
type fakeServer struct {
	options  UpOptions
	ended    chan error
	started  bool
	stopped  bool
	startErr error
	running  Running
}

func (f *fakeServer) Start(context.Context) error { f.started = true; return f.startErr }
func (f *fakeServer) Wait() error                 { return <-f.ended }
func (f *fakeServer) Stop(ctx context.Context) error {
	f.stopped = true
	close(f.ended)
	return ctx.Err() // the signal must not cut the stop short
}
func (f *fakeServer) URL() string                                  { return "http://127.0.0.1:7400" }
func (f *fakeServer) Running(ctx context.Context) (Running, error) { return f.running, ctx.Err() }

func localWith(f *fakeServer) Local {
	return Local{NewServer: func(o UpOptions) (Server, error) { f.options = o; return f, nil }}
}

func TestUpSaysWhatGoesOn(t *testing.T) {
	f := &fakeServer{ended: make(chan error, 1), running: Running{Instances: []string{"a_0", "a_1", "a_2", "a_3", "a_4", "a_5"}, Gateway: true}}
	ctx, cancel := context.WithCancel(t.Context())
	var out, errs syncBuffer
	done := make(chan int)
	data := t.TempDir()
	env := Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
	go func() {
		done <- Run(ctx, env, localWith(f), []string{"up", "--data", data, "--listen", "127.0.0.1:0", "--port-range", "1000-1100", "--host-path", "/srv/a", "--host-path", "/srv/b"})
	}()
	waitFor(t, &out, "admin token  "+filepath.Join(data, "admin.token"))
	cancel() // SIGTERM and Ctrl-C
	if code := <-done; code != 0 || !f.stopped {
		t.Errorf("exit %d, stopped %v: %s", code, f.stopped, errs.String())
	}
	want := fmt.Sprintf("Still running: 6 instances (a_0, a_1, a_2, a_3, a_4 and 1 more) and the gateway.\n`drover up --data %s` takes over again, `drover down --data %s` stops everything.\n", data, data)
	if !strings.Contains(out.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	o := f.options
	if o.Data != data || o.Listen != "127.0.0.1:0" || o.PortLow != 1000 || o.PortHigh != 1100 || o.UIDLow != 2000000 || o.UIDHigh != 2065535 || o.Logger == nil || o.Version == "" || fmt.Sprint(o.HostPaths) != "[/srv/a /srv/b]" {
		t.Errorf("got %+v", o)
	}
}

func TestUpEndsWithItsServer(t *testing.T) {
	tests := []struct {
		name  string
		start error
		ended error
		code  int
		text  string
	}{
		{"down", nil, nil, 0, ""},
		{"a part failed", nil, errors.New("store: broken"), 1, "drover: store: broken\n"},
		{"does not start", errors.New("listen: in use"), nil, 1, "drover: listen: in use\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeServer{ended: make(chan error, 1), startErr: tt.start}
			f.ended <- tt.ended
			var out, errs syncBuffer
			env := Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
			code := Run(t.Context(), env, localWith(f), []string{"up", "--data", t.TempDir()})
			if code != tt.code || errs.String() != tt.text {
				t.Errorf("exit %d: %s", code, errs.String())
			}
			if tt.start == nil && (!f.stopped || !strings.Contains(out.String(), "Nothing else is running.")) {
				t.Errorf("stopped %v:\n%s", f.stopped, out.String())
			}
		})
	}
}

func TestDown(t *testing.T) {
	w := newWorld(t)
	put(w, instance("hello_0", "blue", "1.0.0", "Healthy", "InService"))
	// What a server has stopped is said when it has gone, too.
	inUse := resource.Errorf(resource.CodeInUse, "%s is in use", w.data)
	looks := 0
	w.local.Down = func(context.Context, string) (Running, error) {
		if looks++; looks < 3 {
			return Running{}, inUse
		}
		return Running{}, nil
	}
	if got := w.run("down"); got.code != 0 || w.downs != 1 || looks != 3 || got.out != "Stopped: 1 instance (hello_0), the gateway and the server.\n" {
		t.Errorf("exit %d, %d downs, %d looks: %s%s", got.code, w.downs, looks, got.out, got.err)
	}
	w.stop()
	var asked string
	answer := Running{Instances: []string{"hello_0", "hello_1"}, Gateway: true}
	var failure error
	w.local.Down = func(_ context.Context, data string) (Running, error) { asked = data; return answer, failure }
	if got := w.run("down"); got.code != 0 || asked != w.data || got.out != "Stopped: 2 instances (hello_0, hello_1) and the gateway.\n" {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	answer = Running{}
	if got := w.run("down"); got.code != 0 || got.out != "Nothing is running from "+w.data+".\n" {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	// A server that is only starting has the folder, and soon the socket.
	w.local.Down = func(context.Context, string) (Running, error) {
		if w.downs == 1 {
			w.start()
			return Running{}, inUse
		}
		return Running{}, nil
	}
	if got := w.run("down"); got.code != 0 || w.downs != 2 {
		t.Errorf("exit %d, %d downs: %s%s", got.code, w.downs, got.out, got.err)
	}
}

func TestBackup(t *testing.T) {
	w := newWorld(t)
	w.backup = tarOf(t, "everything")
	file := filepath.Join(w.data, "backup.tar")
	if got := w.run("backup", file); got.code != 0 || !strings.HasPrefix(got.out, file+": 2.0 KiB, verified") {
		t.Fatalf("exit %d: %s%s", got.code, got.out, got.err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if h, err := tar.NewReader(f).Next(); err != nil || h.Name != "documents" {
		t.Errorf("got %v, %v", h, err)
	}
	// A backup that is not whole leaves the old one, and nothing beside it.
	whole := w.backup
	w.backup = whole[:700]
	if got := w.run("backup", file); got.code != 1 || !strings.Contains(got.err, "not whole") {
		t.Errorf("exit %d: %s%s", got.code, got.out, got.err)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != string(whole) {
		t.Errorf("the old backup was lost: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(w.data, ".backup*")); err != nil || left != nil {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestRestore(t *testing.T) {
	w := newWorld(t)
	var got [2]string
	w.local.Restore = func(_ context.Context, data, file string) error { got = [2]string{data, file}; return nil }
	whole := tarOf(t, "everything")
	file := filepath.Join(w.data, "b.tar")
	write := func(content []byte) {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(whole)
	r := w.run("restore", file, "--data", "/srv/new")
	if r.code != 0 || got != [2]string{"/srv/new", file} || !strings.Contains(r.out, "drover up --data /srv/new") {
		t.Errorf("exit %d, %v: %s%s", r.code, got, r.out, r.err)
	}
	w.local.Restore = func(context.Context, string, string) error { return errors.New("not empty") }
	if r := w.run("restore", file); r.code != 1 || r.err != "drover: restore "+file+" into "+w.data+": not empty\n" {
		t.Errorf("exit %d: %s", r.code, r.err)
	}
	// Cut off anywhere, also behind a file: nothing is restored.
	w.local.Restore = func(context.Context, string, string) error { t.Error("it was restored"); return nil }
	for _, length := range []int{0, 100, 512, 700, 1024, 1536} {
		write(whole[:length])
		if r := w.run("restore", file); r.code != 1 || !strings.Contains(r.err, "not whole") {
			t.Errorf("%d bytes of %d: exit %d: %s", length, len(whole), r.code, r.err)
		}
	}
}
