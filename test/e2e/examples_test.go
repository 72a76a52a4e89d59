package e2e

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/testtool"
)

// The quick start, as the README has it.
func TestExampleHello(t *testing.T) {
	t.Parallel() // most of it waits for bakes
	s := startServer(t)
	folder := t.TempDir()
	buildHello(t, folder, "Hello")
	s.mustDrover("image", "push", "hello:1.0.0", folder, "--entrypoint", "./server")
	s.applyExample("hello/hello.yaml")
	address := s.serves("front", "Hello from hello_")

	buildHello(t, folder, "Welcome")
	s.mustDrover("image", "push", "hello:2.0.0", folder, "--entrypoint", "./server")
	s.mustDrover("rollout", "start", "hello", "--image", "hello:2.0.0", "--watch")
	if got := fetch(t, address); !strings.Contains(got, "Welcome from hello_") || !strings.Contains(got, "version 2.0.0") {
		t.Errorf("after the rollout: %s", got)
	}
	s.mustDrover("rollout", "rollback", "hello", "--watch")
	if got := fetch(t, address); !strings.Contains(got, "Hello from hello_") {
		t.Errorf("after the rollback: %s", got)
	}
}

func TestExamplePython(t *testing.T) {
	t.Parallel() // most of it waits for bakes
	interpreter := workloadPython(t)
	s := startServer(t)
	app := t.TempDir()
	check(t, os.CopyFS(app, os.DirFS(example("hello-python/app"))))
	s.mustDrover("image", "push", "hello-python:1.0.0", app, "--entrypoint", interpreter+" server.py")
	s.applyExample("hello-python/hello-python.yaml")
	address := s.serves("python", "Hello from hello-python_")

	check(t, os.WriteFile(filepath.Join(app, "greeting.txt"), []byte("Welcome\n"), 0o644))
	s.mustDrover("image", "push", "hello-python:2.0.0", app, "--entrypoint", interpreter+" server.py")
	s.mustDrover("rollout", "start", "hello-python", "--image", "hello-python:2.0.0", "--watch")
	if got := fetch(t, address); !strings.Contains(got, "Welcome from hello-python_") {
		t.Errorf("after the rollout: %s", got)
	}
}

// Programs with the health check that they have on Azure leave when they approve: for
// good, or to come back from a reimage.
func TestExampleAzureHealth(t *testing.T) {
	folder := t.TempDir()
	buildExample(t, "azure-health", filepath.Join(folder, "server"))
	for _, test := range []struct{ name, balancer, folder, entrypoint string }{
		{"azure-health", "azure", folder, "./server"},
		{"azure-health-python", "azure-python", example("azure-health-python/app"), workloadPython(t) + " server.py"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startBeside(t)
			s.mustDrover("image", "push", test.name+":1.0.0", test.folder, "--entrypoint", test.entrypoint)
			s.applyExample(test.name + "/" + test.name + ".yaml")
			s.serves(test.balancer, "Hello from "+test.name)
			n := s.set(test.name).Spec.Capacity
			last := resource.InstanceName(test.name, n-1)
			own := ownSet{s, test.name}
			own.eventually(30*time.Second, "all of it serves", func() (bool, error) { return own.set(test.name).Status.Instances.InService == n, nil })
			says(t, s.mustDrover("instance", "reimage", test.name+"_0", "--watch"), "Healthy, InService") // long before NotBefore
			s.mustDrover("scale", test.name, strconv.Itoa(n-1))
			s.gone(40*time.Second, last)
		})
	}
}

// The pipeline deploys with a token that may do only that.
func TestExampleCI(t *testing.T) {
	t.Parallel() // most of it waits for bakes
	testtool.Require(t, "sh")
	s := startServer(t)
	folder := t.TempDir()
	buildHello(t, folder, "Hello")
	s.mustDrover("image", "push", "hello:1.0.0", folder, "--entrypoint", "./server")
	s.applyExample("hello/hello.yaml")
	address := s.serves("front", "Hello from hello_")
	token := strings.TrimSpace(s.mustDrover("token", "create", "ci", "--role", "Publisher",
		"--scope", "image/hello", "--scope", "scaleset/hello", "--expires", "720h"))
	as := func(name string, args ...string) (string, error) {
		cmd := exec.Command(name, args...)
		// An empty data folder: nothing but the token can open the door.
		cmd.Env = append(os.Environ(), "DROVER="+drover, "DROVER_DATA="+t.TempDir(), "DROVER_SERVER="+s.url(), "DROVER_TOKEN="+token)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	buildHello(t, folder, "Welcome")
	deploy := []string{example("ci/deploy.sh"), "hello", "1.2.0", folder, "./server"}
	if out, err := as("sh", deploy...); err != nil {
		t.Fatalf("deploy.sh: %v\n%s", err, out)
	}
	if got := fetch(t, address); !strings.Contains(got, "Welcome from hello_") {
		t.Errorf("after the deployment: %s", got)
	}
	if out, err := as("sh", deploy...); err != nil {
		t.Errorf("deploy.sh a second time: %v\n%s", err, out)
	}
	for _, args := range [][]string{
		{"scale", "hello", "1"}, {"delete", "scaleset", "hello"}, {"rollout", "rollback", "hello"}, {"down"},
		{"apply", "-f", example("hello/hello.yaml")}, {"token", "create", "more", "--role", "Reader"},
		{"image", "push", "other:1.0.0", folder, "--entrypoint", "./server"}, {"rollout", "start", "other", "--image", "hello:1.0.0"},
	} {
		if out, err := as(drover, args...); err == nil {
			t.Errorf("the pipeline's token may %v: %s", args, out)
		}
	}
}

func example(path string) string { return filepath.Join(repository, "examples", path) }

func buildHello(t *testing.T, folder, greeting string) {
	t.Helper()
	buildExample(t, "hello", filepath.Join(folder, "server"), "-ldflags", "-X main.greeting="+greeting)
}

func buildExample(t *testing.T, name, to string, flags ...string) {
	t.Helper()
	cmd := exec.Command("go", slices.Concat([]string{"build", "-o", to}, flags, []string{"./examples/" + name})...)
	cmd.Dir, cmd.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build examples/%s: %v\n%s", name, err, out)
	}
}

// workloadPython is a python3 that an instance's user can run: the first on the
// PATH may be somebody's own.
func workloadPython(t *testing.T) string {
	t.Helper()
	testtool.Require(t, "python3")
	for _, dir := range []string{"/usr/local/bin", "/usr/bin"} {
		if _, err := os.Stat(filepath.Join(dir, "python3")); err == nil {
			return "python3"
		}
	}
	return testtool.Require(t, "/usr/bin/python3")
}

var fixedListen = regexp.MustCompile(`listen: "127\.0\.0\.1:\d+"`)

// applyExample applies an example's documents, on a free port.
func (s *server) applyExample(path string) {
	s.t.Helper()
	text, err := os.ReadFile(example(path))
	check(s.t, err)
	if !fixedListen.Match(text) {
		s.t.Fatalf("%s listens nowhere", path)
	}
	s.apply(fixedListen.ReplaceAllString(string(text), `listen: "127.0.0.1:0"`))
}

// serves waits until the balancer answers with that, and returns its address.
func (s *server) serves(balancer, answer string) (address string) {
	s.t.Helper()
	address = s.address(balancer)
	s.eventually(40*time.Second, balancer+" answers "+answer, func() (bool, error) {
		return strings.Contains(fetch(s.t, address), answer), nil
	})
	return address
}

func fetch(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get("http://" + address + "/")
	check(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(t, err)
	return string(bytes.TrimSpace(text))
}

var banner = regexp.MustCompile(`address +(https?://\S+)`)

// url is where the server said last that its API is.
func (s *server) url() (url string) {
	s.t.Helper()
	s.eventually(20*time.Second, "the server says where it is", func() (bool, error) {
		all := banner.FindAllStringSubmatch(s.log.String(), -1)
		if len(all) > 0 {
			url = all[len(all)-1][1]
		}
		return len(all) > 0, nil
	})
	return url
}
