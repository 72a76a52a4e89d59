package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/client/imagepush"
	"github.com/droverhq/drover/internal/resource"
)

// TestMain lets this binary be the gateway and the launcher.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if run := Hidden("test")[os.Args[1]]; run != nil {
			os.Exit(run(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

// dataFolder is a new one that instances can pass through.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		must(t, os.Chmod(d, 0o711))
	}
	return filepath.Join(dir, "data")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newApp(t *testing.T, data string) *App {
	t.Helper()
	a, err := New(Options{Listen: "127.0.0.1:0", Data: data, Version: "test"})
	must(t, err)
	return a
}

// started is an App that is brought down at the test's end.
func started(t *testing.T, data string) *App {
	t.Helper()
	a := newApp(t, data)
	must(t, a.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(a.Down(ctx), a.Stop(ctx)); err != nil {
			t.Error(err)
		}
	})
	return a
}

func clientOf(t *testing.T, data string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Data: data})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// deploy pushes the sample program as the workload and serves it; it returns the address.
func deploy(t *testing.T, data, version string) string {
	t.Helper()
	c := clientOf(t, data)
	folder := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(folder, "program"), "../../test/e2e/workload").CombinedOutput(); err != nil {
		t.Fatalf("build the workload: %v\n%s", err, out)
	}
	must(t, os.WriteFile(filepath.Join(folder, "sample.json"), fmt.Appendf(nil, `{"version":%q}`, version), 0o644))
	image, err := imagepush.Build(t.Context(), imagepush.Options{
		Layers: []imagepush.Folder{{Path: folder}}, Entrypoint: []string{"./program"},
	})
	must(t, err)
	must(t, c.PushImage(t.Context(), "web:"+version, image, nil))
	_, err = c.Apply(t.Context(), []json.RawMessage{
		json.RawMessage(`{"kind":"ScaleSet","name":"web","spec":{"image":"web:` + version + `","capacity":1,"health":{"path":"/healthz","interval":"100ms"}}}`),
		json.RawMessage(`{"kind":"LoadBalancer","name":"front","spec":{"listen":"127.0.0.1:0","backend":"web","queueTimeout":"20s"}}`),
	}, client.ApplyOptions{})
	must(t, err)
	return address(t, c)
}

func address(t *testing.T, c *client.Client) string {
	t.Helper()
	for range 500 {
		d, err := c.Get(t.Context(), resource.KindLoadBalancer, "front")
		must(t, err)
		lb, err := resource.From[resource.LoadBalancerSpec, resource.LoadBalancerStatus](d)
		must(t, err)
		if lb.Status.Address != "" {
			return lb.Status.Address
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the balancer has no address")
	return ""
}

func wantVersion(t *testing.T, address, version string) {
	t.Helper()
	resp, err := http.Get("http://" + address + "/")
	must(t, err)
	defer resp.Body.Close()
	if got := resp.Header.Get("X-Version"); resp.StatusCode != http.StatusOK || got != version {
		t.Errorf("%s answers %s, version %q, want %s", address, resp.Status, got, version)
	}
}

func TestTwoAppsInOneProcess(t *testing.T) {
	first, second := dataFolder(t), dataFolder(t)
	a, b := started(t, first), started(t, second)
	if a.URL() == b.URL() {
		t.Fatalf("both are at %s", a.URL())
	}
	wantVersion(t, deploy(t, first, "1.0.0"), "1.0.0")
	wantVersion(t, deploy(t, second, "2.0.0"), "2.0.0")
}

// Instances and the gateway serve on without the control process, and the next
// one takes them over; nothing is started twice.
func TestStopAndStartAgain(t *testing.T) {
	data := dataFolder(t)
	a := newApp(t, data)
	must(t, a.Start(t.Context()))
	at := deploy(t, data, "1.0.0")
	wantVersion(t, at, "1.0.0")
	before, err := a.Running(t.Context())
	must(t, err)
	must(t, a.Stop(t.Context()))
	if err := a.Wait(); err != nil {
		t.Errorf("Wait after Stop: %v", err)
	}
	wantVersion(t, at, "1.0.0")

	b := started(t, data)
	wantVersion(t, at, "1.0.0")
	after, err := b.Running(t.Context())
	must(t, err)
	if len(before.Instances) != 1 || fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("running before: %v, after: %v", before, after)
	}
}

func TestASecondServerOnAFolderIsRefused(t *testing.T) {
	data := dataFolder(t)
	started(t, data)
	err := newApp(t, data).Start(t.Context())
	if !resource.IsCode(err, resource.CodeInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("%v", err)
	}
}

// A start that fails half way leaves the folder free and nothing running.
func TestAFailedStartIsUndone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	data := dataFolder(t)
	a, err := New(Options{Listen: l.Addr().String(), Data: data})
	must(t, err)
	if err := a.Start(t.Context()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Fatalf("%v", err)
	}
	started(t, data)
}

func TestStopBeforeStart(t *testing.T) {
	a := newApp(t, dataFolder(t))
	must(t, a.Stop(t.Context()))
	if err := a.Wait(); err != nil {
		t.Error(err)
	}
}

func TestAComponentThatEndsEndsTheApp(t *testing.T) {
	a := newApp(t, dataFolder(t))
	a.run("component", func(context.Context) error { return errors.New("broken") })
	if err := a.Wait(); err == nil || err.Error() != "component: broken" {
		t.Errorf("%v", err)
	}
	must(t, a.Stop(t.Context()))
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]Options{
		"no folder":            {},
		"half of the TLS pair": {Data: "/d", TLSCert: "a"},
		"no port":              {Data: "/d", Listen: "127.0.0.1"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestAFolderThatInstancesCannotReachIsRefused(t *testing.T) {
	closed := filepath.Join(filepath.Dir(dataFolder(t)), "closed")
	must(t, os.Mkdir(closed, 0o700))
	if err := passable(filepath.Join(closed, "data")); err == nil || !strings.Contains(err.Error(), "chmod o+x "+closed) {
		t.Errorf("%v", err)
	}
}
