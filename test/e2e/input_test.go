package e2e

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/sample"
	"github.com/droverhq/drover/internal/testtool"
)

// Bad input names file, line and field, exits 1 and changes nothing.
func TestBadDocuments(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 1}.yaml())
	before := s.set("hello")
	good := "kind: LoadBalancer\nname: other\nspec: {listen: \"127.0.0.1:0\", backend: hello}\n---\n"
	for name, c := range map[string]struct {
		yaml string
		says []string
	}{
		"unknown field":  {"kind: ScaleSet\nname: hello\nspec:\n  image: hello:1.0.0\n  capactiy: 3\n", []string{"documents.yaml:5: /spec/capactiy", "capacity"}},
		"wrong type":     {"kind: ScaleSet\nname: hello\nspec:\n  image: hello:1.0.0\n  capacity: many\n", []string{"documents.yaml:5: /spec/capacity", "whole number"}},
		"out of range":   {"kind: ScaleSet\nname: hello\nspec:\n  capacity: 10001\n  image: hello:1.0.0\n", []string{"documents.yaml:4: /spec/capacity", "10000"}},
		"two problems":   {"kind: ScaleSet\nname: hello\nspec:\n  capacity: -1\n  imgae: x\n", []string{"documents.yaml:4: /spec/capacity", "documents.yaml:5: /spec/imgae", "image"}},
		"deep":           {"kind: ScaleSet\nname: hello\nspec:\n  image: hello:1.0.0\n  upgradePolicy:\n    blueGreen:\n      bakeTime: 5 parsecs\n", []string{"documents.yaml:7: /spec/upgradePolicy/blueGreen/bakeTime", "duration"}},
		"a field twice":  {"kind: ScaleSet\nname: hello\nspec:\n  image: hello:1.0.0\n  image: hello:2.0.0\n", []string{"documents.yaml:5", "image"}},
		"no YAML":        {"kind: ScaleSet\nname: hello\nspec:\n  image: [hello\n", []string{"documents.yaml:"}},
		"unknown kind":   {"kind: ScaleSte\nname: hello\n", []string{"documents.yaml:1: /kind", "ScaleSet"}},
		"no kind":        {"name: hello\nspec: {}\n", []string{"documents.yaml:1", "kind"}},
		"bad name":       {"kind: ScaleSet\nname: Hello_World\nspec: {image: hello}\n", []string{"documents.yaml:2: /name"}},
		"nothing in it":  {"# nothing\n", []string{"documents.yaml"}},
		"the second one": {good + "kind: ScaleSet\nname: third\nspec:\n  image: ''\n", []string{"documents.yaml:8: /spec/image"}},
		"not by hand":    {good + "kind: Instance\nname: hello_9\n", []string{"documents.yaml:5: /kind", "written by hand"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			output, code := s.tryApply(c.yaml)
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			says(t, output, append(c.says, "nothing was written")...)
			_, errs, code := s.drover("diff", "-f", s.file("documents.yaml", c.yaml))
			if code != 2 {
				t.Errorf("diff: exit code %d: %s", code, errs)
			}
		})
	}
	if now := s.set("hello"); now.Generation != before.Generation {
		t.Errorf("the set was changed: %+v", now.Spec)
	}
	for _, kind := range []string{"LoadBalancer other", "ScaleSet third"} {
		kind, name, _ := strings.Cut(kind, " ")
		_, err := s.client.Get(s.ctx(), kind, name)
		refused(t, err, resource.CodeNotFound)
	}
}

// file writes a file of its own and returns its path.
func (s *server) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	check(s.t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// Several documents of several files are one apply: all or none.
func TestApplyFolderAndDiff(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	folder := t.TempDir()
	write := func(name, text string) { check(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644)) }
	write("b.yaml", "kind: LoadBalancer\nname: front\nspec: {listen: '127.0.0.1:0', backend: hello}\n")
	write("a.yml", "kind: ScaleSet\nname: hello\nspec: {image: hello:1.0.0, capacity: 1, env: {A: '1'}}\n")
	write("note.txt", "no document\n")

	out, _, code := s.drover("diff", "-f", folder)
	if code != 1 {
		t.Errorf("diff of new documents: exit code %d", code)
	}
	says(t, out, "scaleset/hello (new)", "loadbalancer/front (new)", "+ /spec/image")
	says(t, s.mustDrover("apply", "-f", folder, "--dry-run"), "created", "dry run")
	if _, err := s.client.Get(s.ctx(), resource.KindScaleSet, "hello"); !resource.IsCode(err, resource.CodeNotFound) {
		t.Errorf("a dry run or a diff wrote something: %v", err)
	}
	says(t, s.mustDrover("apply", "-f", folder), "scaleset/hello created", "loadbalancer/front created")
	if out, errs, code := s.drover("diff", "-f", folder); code != 0 || out != "" {
		t.Errorf("diff of what was applied: exit code %d: %s%s", code, out, errs)
	}
	says(t, s.mustDrover("apply", "-f", folder), "unchanged")

	before := s.set("hello")
	write("a.yml", "kind: ScaleSet\nname: hello\nspec: {image: hello:1.0.0, capacity: 2, env: {A: '2'}}\n")
	out, _, code = s.drover("diff", "-f", folder)
	if code != 1 || strings.Contains(out, "front") {
		t.Errorf("diff: exit code %d: %s", code, out)
	}
	says(t, out, "starts a rollout", "- /spec/capacity: 1", "+ /spec/capacity: 2", `- /spec/env/A: "1"`, `+ /spec/env/A: "2"`)
	if now := s.set("hello"); now.Generation != before.Generation {
		t.Error("a diff wrote something")
	}
	write("c.yaml", "kind: LoadBalancer\nname: third\nspec: {listen: nowhere}\n")
	if _, errs, code := s.drover("apply", "-f", folder); code != 1 || !strings.Contains(errs, "c.yaml:3: /spec/listen") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if now := s.set("hello"); now.Generation != before.Generation {
		t.Error("one bad document did not keep the others from being written")
	}
}

// 0 done, 1 failed, 2 wrong usage.
func TestExitCodes(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("hello:9.0.0", sample.Config{NeverHealthy: true})
	s.apply(policy{capacity: 1, grace: "1s"}.yaml())
	s.serving(1)
	for want, commands := range map[int][]string{
		0: {"version", "status", "get scalesets", "get sets", "get SCALESET hello -o json", "describe instance hello_0", "image list", "rollout history hello", "help apply", "logs hello_0"},
		1: {"get scaleset missing", "delete scaleset missing", "describe lb missing", "scale missing 3", "scale hello 10001", "logs hello_99", "rollout status hello",
			"rollout start missing --image hello:1.0.0", "rollout pause hello", "apply -f /does/not/exist.yaml", "restore /does/not/exist.tar", "image list missing", "token revoke missing"},
		2: {"nonsense", "get", "get nonsense", "scale hello", "scale hello some", "apply", "rollout start", "get scalesets --nonsense", "rollout pause hello --for ever",
			"token create ci", "token create ci --role King", "image push hello ./x --entrypoint y", "delete scaleset", "up --listen nowhere", "diff -f /does/not/exist.yaml"},
	} {
		for _, line := range commands {
			out, errs, code := s.drover(strings.Fields(line)...)
			if code != want {
				t.Errorf("drover %s: exit code %d, not %d\n%s%s", line, code, want, out, errs)
			}
			if code != 0 && !strings.HasPrefix(errs, "drover: ") && !strings.Contains(errs, "\ndrover: ") {
				t.Errorf("drover %s does not say what is wrong: %q", line, errs)
			}
		}
	}
	if out, errs, code := s.drover("rollout", "start", "hello", "--image", "hello:9.0.0", "--watch"); code != 1 {
		t.Errorf("a watched rollout that rolls back: exit code %d\n%s%s", code, out, errs)
	}
}

// droverAs runs a command as a client on another machine would: by URL and token.
func (s *server) droverAs(token string, args ...string) (output string, code int) {
	s.t.Helper()
	cmd := exec.Command(drover, args...)
	cmd.Env = append(os.Environ(), "DROVER_SERVER="+s.url(), "DROVER_TOKEN="+token, "DROVER_DATA=/nonexistent")
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// A pipeline's token may push hello and roll it out, and nothing else; no secret
// is written anywhere.
func TestTokenThatMayOnlyDeliver(t *testing.T) {
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.push("other:1.0.0", sample.Config{})
	s.apply(policy{capacity: 1, bake: "100ms"}.yaml())
	s.apply(strings.ReplaceAll(policy{capacity: 1}.yaml(), "hello", "other"))
	s.serving(2)
	ci := strings.TrimSpace(s.mustDrover("token", "create", "ci", "--role", "Publisher", "--scope", "image/hello", "--scope", "scaleset/hello", "--expires", "1h"))
	reader := strings.TrimSpace(s.mustDrover("token", "create", "looker", "--role", "Reader"))
	folder := filepath.Dir(s.file("run.sh", "#!/bin/sh\nexec sleep 1000\n"))
	documents := s.file("hello.yaml", policy{capacity: 3}.yaml())
	for _, step := range []struct {
		token, command string
		code           int
	}{
		{ci, "image push hello:2.0.0 " + folder + " --entrypoint ./run.sh", 0},
		{ci, "get scaleset hello", 0},
		{ci, "get scalesets", 0},
		{ci, "get instances", 0},
		{ci, "image list hello", 0},
		{ci, "logs hello_0", 0},
		{ci, "rollout start hello --image hello:1.0.0 --watch", 0}, // runs already
		{ci, "rollout history hello", 0},
		{ci, "image push other:2.0.0 " + folder + " --entrypoint ./run.sh", 1},
		{ci, "image push hello2:1.0.0 " + folder + " --entrypoint ./run.sh", 1},
		{ci, "get scaleset other", 1},
		{ci, "logs other_0", 1},
		{ci, "rollout start other --image other:1.0.0", 1},
		{ci, "rollout start hello --image other:1.0.0", 1}, // which it may not read
		{ci, "apply -f " + documents, 1},
		{ci, "scale hello 3", 1},
		{ci, "instance restart hello_0", 1},
		{ci, "instance delete hello_0", 1},
		{ci, "delete scaleset hello", 1},
		{ci, "delete imageversion hello:1.0.0", 1},
		{ci, "token create mine --role Reader", 1},
		{ci, "token list", 1},
		{ci, "token revoke ci", 1},
		{ci, "backup " + filepath.Join(folder, "backup.tar"), 1},
		{ci, "down", 1},
		{reader, "get scaleset other", 0},
		{reader, "logs hello_0", 0},
		{reader, "image push hello:3.0.0 " + folder + " --entrypoint ./run.sh", 1},
		{reader, "rollout start hello --image hello:2.0.0", 1},
		{reader, "scale hello 3", 1},
		{reader, "token list", 1},
		{reader, "down", 1},
		{"", "get scalesets", 1},
		{"nonsense", "get scalesets", 1},
		{ci[:len(ci)-1] + "x", "get scalesets", 1},
	} {
		output, code := s.droverAs(step.token, strings.Fields(step.command)...)
		if code != step.code {
			t.Errorf("drover %s: exit code %d, not %d\n%s", step.command, code, step.code, output)
		}
		if strings.Contains(output, "other_0") && step.token == ci && step.code == 0 {
			t.Errorf("drover %s shows what is out of scope:\n%s", step.command, output)
		}
	}
	if set := s.set("hello"); set.Spec.Capacity != 1 {
		t.Errorf("a refused command changed the set: %+v", set.Spec)
	}
	s.mustDrover("token", "revoke", "ci")
	if output, code := s.droverAs(ci, "get", "scaleset", "hello"); code != 1 {
		t.Errorf("a revoked token is let in: %s", output)
	}
	admin, err := os.ReadFile(filepath.Join(s.data, "admin.token"))
	check(t, err)
	s.carelessly(reader)
	s.nowhere(ci, reader, strings.TrimSpace(string(admin)))
}

// carelessly puts a secret where it does not belong: what is wrong with each of
// the requests is told and logged, the secret is not.
func (s *server) carelessly(secret string) {
	s.t.Helper()
	for _, path := range []string{"/api/v1/scalesets/hello/scale?code=", "/api/v1/instances/none/restart?sig=", "/nothing?access_token=", "/v2/hello/blobs/uploads/?token="} {
		req, err := http.NewRequest(http.MethodPost, s.url()+path+secret, strings.NewReader(`{"capacity": "Bearer `+secret+`"}`))
		check(s.t, err)
		req.Header.Set("Authorization", "Bearer "+secret)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultTransport.RoundTrip(req)
		check(s.t, err)
		text, err := io.ReadAll(resp.Body)
		check(s.t, err)
		resp.Body.Close()
		if resp.StatusCode < 400 || strings.Contains(string(text), secret) {
			s.t.Errorf("%s is answered %s: %s", path, resp.Status, text)
		}
	}
}

// nowhere looks for secrets in all that the server has written.
func (s *server) nowhere(secrets ...string) {
	s.t.Helper()
	look := func(where string, text []byte) {
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				s.t.Errorf("a secret is in %s", where)
			}
		}
	}
	look("the server's log", []byte(s.log.String()))
	look("the metrics", []byte(s.metrics()))
	err := filepath.WalkDir(s.data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || e.Name() == "admin.token" {
			return nil // gone meanwhile, or the one place where it belongs
		}
		text, err := os.ReadFile(path)
		if err == nil {
			look(path, text)
		}
		return nil
	})
	check(s.t, err)
}

// OCI clients push and pull with a token as the password.
func TestSkopeoPushesAndPulls(t *testing.T) {
	skopeo := testtool.Require(t, "skopeo")
	s := startBeside(t)
	s.push("hello:1.0.0", sample.Config{})
	s.apply(policy{capacity: 1, bake: "100ms"}.yaml())
	s.serving(1)
	token := strings.TrimSpace(s.mustDrover("token", "create", "oci", "--role", "Publisher", "--scope", "image/hello"))
	layout := "oci:" + filepath.Join(t.TempDir(), "layout") + ":hello"
	registry := "docker://" + strings.TrimPrefix(s.url(), "http://") + "/"
	copyAs := func(token, from, to string) (string, error) {
		cmd := exec.Command(skopeo, "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false")
		if strings.HasPrefix(from, "docker:") {
			cmd.Args = append(cmd.Args, "--src-creds", "x:"+token)
		} else {
			cmd.Args = append(cmd.Args, "--dest-creds", "x:"+token)
		}
		cmd.Args = append(cmd.Args, from, to)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(from, to string) {
		t.Helper()
		if out, err := copyAs(token, from, to); err != nil {
			t.Fatalf("skopeo copy %s %s: %v\n%s", from, to, err, out)
		}
	}
	must(registry+"hello:1.0.0", layout)
	must(layout, registry+"hello:1.1.0")
	must(layout, registry+"hello:1.1.0") // the same again is no change
	says(t, s.mustDrover("image", "list", "hello"), "hello:1.1.0")

	folder := filepath.Dir(s.file("x", "other content"))
	s.mustDrover("image", "push", "hello:2.0.0", folder, "--entrypoint", "./x")
	if out, err := copyAs(token, layout, registry+"hello:2.0.0"); err == nil {
		t.Errorf("other content for a version that exists was taken:\n%s", out)
	}
	for _, wrong := range []struct{ token, image string }{{"nonsense", "hello:3.0.0"}, {token, "other:1.0.0"}} {
		if out, err := copyAs(wrong.token, layout, registry+wrong.image); err == nil {
			t.Errorf("%s was let in:\n%s", wrong.image, out)
		}
	}
	admin, err := os.ReadFile(filepath.Join(s.data, "admin.token"))
	check(t, err)
	out, err := exec.Command(skopeo, "delete", "--tls-verify=false", "--creds", "x:"+strings.TrimSpace(string(admin)), registry+"hello:1.0.0").CombinedOutput()
	if err == nil {
		t.Errorf("a version that a set runs was deleted:\n%s", out)
	}
	_, err = s.client.Delete(s.ctx(), resource.KindImageVersion, "hello:1.0.0")
	refused(t, err, resource.CodeInUse, "hello")
	s.nowhere(token)
}

// Beyond loopback the API has TLS by its own authority: who has its certificate
// or its pin is let in, who has neither is refused, and nothing is sent in clear.
func TestTLSBeyondLoopback(t *testing.T) {
	s := startBeside(t, "--listen", "0.0.0.0:0")
	token := strings.TrimSpace(s.mustDrover("token", "create", "far", "--role", "Reader"))
	port := lastPort(s.url())
	var pin string
	for _, field := range strings.Fields(s.log.String()) {
		if p, ok := strings.CutPrefix(field, "pin="); ok {
			pin = p
		}
	}
	as := func(args ...string) (string, int) {
		cmd := exec.Command(drover, append([]string{"get", "scalesets"}, args...)...)
		cmd.Env = append(os.Environ(), "DROVER_TOKEN="+token)
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	address := "127.0.0.1:" + port
	ca := filepath.Join(s.data, "ca.pem")
	for _, good := range [][]string{
		{"--server", "https://" + address, "--ca-file", ca},
		{"--server", address, "--ca-file", ca},
		{"--server", "https://localhost:" + port, "--ca-pin", pin},
	} {
		if out, code := as(good...); code != 0 {
			t.Errorf("%v: exit code %d: %s", good, code, out)
		}
	}
	for _, bad := range [][]string{
		{"--server", "https://" + address},
		{"--server", "http://" + address},
		{"--server", "https://" + address, "--ca-pin", "sha256:" + strings.Repeat("00", 32)},
	} {
		if out, code := as(bad...); code == 0 {
			t.Errorf("%v is let in: %s", bad, out)
		}
	}
	s.stop()
	s.start()
	s.eventually(10*time.Second, "the pin fits after a restart, too", func() (bool, error) {
		_, code := as("--server", "https://localhost:"+lastPort(s.url()), "--ca-pin", pin)
		return code == 0, nil
	})
	s.nowhere(token)
}

func lastPort(url string) string { return url[strings.LastIndexByte(url, ':')+1:] }
