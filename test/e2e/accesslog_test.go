package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
)

// logLine is what the stories look at.
type logLine struct {
	Time                                      time.Time
	Balancer, Client, Method, Host, Path      string
	Status, Attempts, Dropped                 int
	Set, Version, Instance, Outcome, Protocol string
	DurationMs, FirstByteMs                   float64
}

// readLog reads an access log with what it was rotated to; every line must be whole.
func readLog(t *testing.T, file string) (all []logLine) {
	t.Helper()
	names, err := filepath.Glob(file + "*")
	check(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		check(t, err)
		for line := range bytes.Lines(text) {
			var l logLine
			if err := json.Unmarshal(line, &l); err != nil || line[len(line)-1] != '\n' {
				t.Fatalf("%s has a torn line: %q", name, line)
			}
			all = append(all, l)
		}
	}
	return all
}

// inLog waits for a line that fits.
func (s *server) inLog(file, what string, fits func(logLine) bool) (found logLine) {
	s.t.Helper()
	s.eventually(10*time.Second, what+" is in the access log", func() (bool, error) {
		for _, l := range readLog(s.t, file) {
			if fits(l) {
				found = l
				return true, nil
			}
		}
		return false, nil
	})
	return found
}

func withLog(p policy, log string) string {
	return strings.Replace(p.yaml(), "backend: hello,", "backend: hello, accessLog: "+log+",", 1)
}

// hostFolder is one that a server may be given with --host-path.
func hostFolder(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	check(t, err)
	return dir
}

// The log goes on whoever is killed, and never has what is secret.
func TestAccessLogGoesOn(t *testing.T) {
	dir := hostFolder(t)
	file := filepath.Join(dir, "access.log")
	s := startBeside(t, "--host-path", dir)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(withLog(policy{capacity: 2}, "{file: "+file+"}"))
	address := s.serving(2)
	ask := func(path string) {
		t.Helper()
		req, err := http.NewRequest("GET", "http://"+address+path, nil)
		check(t, err)
		req.Header.Set("Authorization", "Bearer s3cr3t-VALUE")
		req.Header.Set("Cookie", "session=s3cr3t-VALUE")
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}).Do(req)
		check(t, err)
		resp.Body.Close()
	}
	of := func(path string) func(logLine) bool { return func(l logLine) bool { return l.Path == path } }

	ask("/first?page=1&sig=s3cr3t-VALUE")
	l := s.inLog(file, "the first request", of("/first?page=1&sig=[redacted]"))
	if l.Balancer != "front" || l.Client != "127.0.0.1" || l.Method != "GET" || l.Host != address || l.Status != 200 || l.Set != "hello" ||
		l.Version != "1.0.0" || !strings.HasPrefix(l.Instance, "hello_") || l.Attempts != 1 || l.Outcome != "answered" || l.Protocol != "HTTP/1.1" {
		t.Errorf("%+v", l)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("the file has the mode %s, %v", info.Mode(), err)
	}
	s.kill()
	ask("/without-control")
	s.inLog(file, "a request without a control process", of("/without-control"))
	s.start()
	s.killGateway()
	ask("/next-gateway")
	s.inLog(file, "a request after the gateway was killed", of("/next-gateway"))
	check(t, os.Rename(file, file+".moved")) // as logrotate does
	ask("/moved")
	s.inLog(file, "a request after the file was moved", of("/moved"))
	if text, _ := os.ReadFile(file); !strings.Contains(string(text), "/moved") || strings.Contains(string(text), "/first") {
		t.Errorf("the new file is %s", text)
	}
	for _, name := range []string{file, file + ".moved"} {
		if text, _ := os.ReadFile(name); strings.Contains(string(text), "s3cr3t") {
			t.Errorf("%s has a secret: %s", name, text)
		}
	}
}

// Every request under load has one line, while the file is rotated, balancers share
// it and the documents change.
func TestAccessLogRotatesUnderLoad(t *testing.T) {
	dir := hostFolder(t)
	file := filepath.Join(dir, "access.log")
	s := startBeside(t, "--host-path", dir)
	s.push("hello:1.0.0", sample.Config{})
	log := "{file: " + file + ", maxBytes: 64KiB, keep: 1000}"
	s.apply(withLog(policy{capacity: 2}, log) + "---\nkind: LoadBalancer\nname: other\nspec: {listen: '127.0.0.1:0', backend: hello, accessLog: " + log + "}\n")
	var all []*traffic
	for _, address := range []string{s.serving(2), s.address("other")} {
		all = append(all, s.startTrafficWith(load.Options{Address: address, Connections: 16, Rate: 300}, 0))
	}
	for i := range size(6, 30) {
		time.Sleep(500 * time.Millisecond)
		s.mustDrover("scale", "hello", fmt.Sprint(2+i%2))
	}
	asked := 0
	for _, tr := range all {
		stats := tr.end()
		asked += int(stats.Requests)
		if stats.Failed > 0 {
			t.Errorf("%d requests failed:\n%s", stats.Failed, listed(stats.Failures))
		}
	}
	lines := map[string]int{}
	s.eventually(10*time.Second, fmt.Sprintf("%d requests are in the access log", asked), func() (bool, error) {
		clear(lines)
		n := 0
		for _, l := range readLog(t, file) {
			lines[l.Balancer]++
			n++
			if l.Dropped > 0 || l.Outcome != "answered" && l.Outcome != "abandoned" {
				return false, fmt.Errorf("a line says %+v", l)
			}
		}
		if n > asked {
			return false, fmt.Errorf("there are %d lines for %d requests", n, asked)
		}
		return n == asked, nil
	})
	names, _ := filepath.Glob(file + ".*")
	if len(names) < 3 || lines["front"] == 0 || lines["other"] == 0 {
		t.Errorf("%d rotated files, lines %v: nothing to see", len(names), lines)
	}
}

// A gateway that is killed loses the lines of a moment, and leaves no half of one.
func TestAccessLogOfGatewaysThatAreKilled(t *testing.T) {
	dir := hostFolder(t)
	file := filepath.Join(dir, "access.log")
	s := startBeside(t, "--host-path", dir)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(withLog(policy{capacity: 2}, "{file: "+file+", maxBytes: 64KiB, keep: 1000}"))
	const rate = 300
	tr := s.startTrafficWith(load.Options{Address: s.serving(2), Connections: 16, Rate: rate}, 0)
	kills := size(4, 20)
	for range kills {
		time.Sleep(500 * time.Millisecond)
		s.killGateway()
	}
	time.Sleep(500 * time.Millisecond)
	stats := tr.end()
	answered := int(stats.Requests - stats.Failed)
	most := kills * rate / 4 // a quarter of a second of each; the disk may be busy
	s.eventually(10*time.Second, fmt.Sprintf("all but %d of %d requests are in the log", most, answered), func() (bool, error) {
		return len(readLog(t, file)) >= answered-most, nil
	})
}

// A full disk costs lines, which are counted, and no request.
func TestAccessLogOnAFullDisk(t *testing.T) {
	disk, ok := onSmallDisk(t)
	if !ok {
		return
	}
	dir := filepath.Join(disk, "logs")
	check(t, os.Mkdir(dir, 0o755))
	file := filepath.Join(dir, "access.log")
	s := startServer(t, "--host-path", dir)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(withLog(policy{capacity: 1}, "{file: "+file+"}"))
	address := s.serving(1)
	failing := func() string {
		lb := read[resource.LoadBalancerSpec, resource.LoadBalancerStatus](s, resource.KindLoadBalancer, "front")
		if c := resource.FindCondition(lb.Status.Conditions, resource.ConditionAccessLogFailing); c != nil {
			return c.Message
		}
		return ""
	}
	check(t, fetchPlain(address))
	s.inLog(file, "a request", func(l logLine) bool { return l.Path == "/" })
	free := fill(t, disk)
	path := "/" + strings.Repeat("x", 2000)
	began := time.Now()
	const asked = 3000 // more than there is memory for
	client := http.Client{Timeout: 10 * time.Second}
	for i := range asked {
		resp, err := client.Get("http://" + address + path)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %v, %v", i, resp, err)
		}
		resp.Body.Close()
	}
	t.Logf("%d requests took %s on a full disk", asked, time.Since(began))
	s.eventually(10*time.Second, "the status says so", func() (bool, error) { return strings.Contains(failing(), "no space left"), nil })
	s.eventually(10*time.Second, "the metrics say so", func() (bool, error) {
		return strings.Contains(s.metrics(), `drover_balancer_access_log_dropped_total{balancer="front"} `) &&
			!strings.Contains(s.metrics(), `drover_balancer_access_log_dropped_total{balancer="front"} 0`), nil
	})
	free()
	s.eventually(10*time.Second, "it is written again", func() (bool, error) { return failing() == "", nil })
	s.inLog(file, "how many lines were dropped", func(l logLine) bool { return l.Dropped > 0 })
	written, dropped := 0, 0
	for _, l := range readLog(t, file) {
		if dropped += l.Dropped; l.Path == path {
			written++
		}
	}
	if written+dropped != asked || written == 0 {
		t.Errorf("%d lines were written and %d dropped, of %d", written, dropped, asked)
	}
}

// What cannot be a log is refused, by its field, and changes nothing.
func TestAccessLogFilesThatAreRefused(t *testing.T) {
	dir := hostFolder(t)
	given := filepath.Join(dir, "given")
	check(t, os.MkdirAll(filepath.Join(given, "folder"), 0o755))
	check(t, os.MkdirAll(filepath.Join(dir, "elsewhere"), 0o755))
	check(t, os.Symlink("../elsewhere/log", filepath.Join(given, "link")))
	check(t, os.Symlink(dir, filepath.Join(dir, "loop")))
	check(t, syscall.Mkfifo(filepath.Join(given, "pipe"), 0o644))
	s := startBeside(t, "--host-path", given)
	s.mustDrover("token", "create", "ci", "--role", "Contributor")
	contributor := strings.TrimSpace(s.mustDrover("token", "create", "ci2", "--role", "Contributor"))
	document := func(file string) string {
		return "kind: LoadBalancer\nname: front\nspec: {listen: '127.0.0.1:0', backend: hello,\n  accessLog: {file: " + file + "}}\n"
	}
	for file, want := range map[string]string{
		filepath.Join(given, "folder"):             "not a regular file",
		filepath.Join(given, "pipe"):               "not a regular file",
		filepath.Join(given, "link"):               "leads out of the folder",
		filepath.Join(given, "none", "log"):        "does not exist",
		filepath.Join(dir, "loop", "given", "log"): "is a link, or behind one",
		filepath.Join(s.data, "log"):               "data folder",
		"log":                                      "not an absolute path",
		"''":                                       "expected the path of a file",
	} {
		out, code := s.tryApply(document(file))
		if code != 1 || !strings.Contains(out, want) || !strings.Contains(out, ".yaml:4") {
			t.Errorf("%s: exit code %d: %s", file, code, out)
		}
	}
	path := filepath.Join(t.TempDir(), "lb.yaml")
	check(t, os.WriteFile(path, []byte(document(filepath.Join(dir, "elsewhere", "log"))), 0o644))
	if out, code := s.droverAs(contributor, "apply", "-f", path); code != 1 || !strings.Contains(out, "only an Owner") {
		t.Errorf("a Contributor: exit code %d: %s", code, out)
	}
	if out, code := s.tryApply("kind: LoadBalancer\nname: front\nspec: {listen: '127.1:0', backend: hello}\n"); code != 1 || !strings.Contains(out, "neither an IP address") {
		t.Errorf("127.1: exit code %d: %s", code, out)
	}
	check(t, os.WriteFile(path, []byte(document(filepath.Join(given, "log"))), 0o644))
	if out, code := s.droverAs(contributor, "apply", "-f", path); code != 0 {
		t.Errorf("below --host-path: exit code %d: %s", code, out)
	}
}
