package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const helloYAML = `kind: ScaleSet
name: hello
spec:
  image: hello:1.0.0
  capacity: 2
---
kind: LoadBalancer
name: front
spec:
  listen: "127.0.0.1:0"
  backend: hello
`

func TestApplyAndDiff(t *testing.T) {
	w := newWorld(t)
	file := w.write("hello.yaml", helloYAML)
	diff := w.run("diff", "-f", file)
	if diff.code != 1 || !strings.Contains(diff.out, "scaleset/hello (new)\n") || !strings.Contains(diff.out, "+ /spec/capacity: 2\n") {
		t.Errorf("diff of new ones: exit %d\n%s%s", diff.code, diff.out, diff.err)
	}
	dry := w.run("apply", "-f", file, "--dry-run")
	if dry.code != 0 || dry.out != "scaleset/hello created (dry run)\nloadbalancer/front created (dry run)\n" {
		t.Errorf("dry run: exit %d\n%s%s", dry.code, dry.out, dry.err)
	}
	if got := w.run("get", "scalesets", "-o", "json"); got.out != "[]\n" {
		t.Errorf("a dry run wrote %s", got.out)
	}
	if got := w.runIn(t.Context(), nil, helloYAML, "apply", "-f", "-"); got.code != 0 || got.out != "scaleset/hello created\nloadbalancer/front created\n" {
		t.Errorf("apply: exit %d\n%s%s", got.code, got.out, got.err)
	}
	if got := w.run("apply", "-f", file); got.code != 0 || got.out != "scaleset/hello unchanged\nloadbalancer/front unchanged\n" {
		t.Errorf("apply again: exit %d\n%s%s", got.code, got.out, got.err)
	}
	if got := w.run("diff", "-f", file); got.code != 0 || got.out != "" {
		t.Errorf("diff of the same: exit %d\n%s%s", got.code, got.out, got.err)
	}
	w.write("hello.yaml", strings.Replace(helloYAML, "hello:1.0.0", "hello:2.0.0", 1))
	if got := w.run("diff", "-f", file); got.code != 1 || got.out != "scaleset/hello (starts a rollout)\n- /spec/image: \"hello:1.0.0\"\n+ /spec/image: \"hello:2.0.0\"\n" {
		t.Errorf("diff: exit %d\n%s%s", got.code, got.out, got.err)
	}
	got := w.run("apply", "-f", file)
	want := "scaleset/hello configured\n  started rollout/hello-1; watch it with `drover rollout status hello --watch`\nloadbalancer/front unchanged\n"
	if got.code != 0 || got.out != want || got.err != "warning: scaleset/hello: a blue/green leaves data behind\n" {
		t.Errorf("apply: exit %d\n%s%s", got.code, got.out, got.err)
	}
}

func TestApplyIsAllOrNone(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.data, "deploy")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.write("deploy/a.yaml", "kind: ScaleSet\nname: good\nspec:\n  image: good:1.0.0\n")
	w.write("deploy/b.yaml", "kind: ScaleSet\nname: bad\nspec:\n  image: hello:1.0.0\n  capacity: -2\n  capasity: 2\n")
	got := w.run("apply", "-f", dir)
	lines := strings.Split(strings.TrimSpace(got.err), "\n")
	if got.code != 1 || got.out != "" || len(lines) != 3 ||
		!strings.HasPrefix(lines[0], dir+"/b.yaml:5: /spec/capacity: ") || !strings.HasPrefix(lines[1], dir+"/b.yaml:6: /spec/capasity: ") || lines[2] != "drover: 2 problems; nothing was written" {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	w.write("deploy/b.yaml", "kind: ScaleSet\nname: bad\nspec:\n  image: [\n")
	if got := w.run("apply", "-f", dir); got.code != 1 || !strings.Contains(got.err, "b.yaml:4: ") {
		t.Errorf("not YAML: exit %d\n%s", got.code, got.err)
	}
	if got := w.run("diff", "-f", dir); got.code != 2 {
		t.Errorf("diff of what is not YAML: exit %d\n%s", got.code, got.err)
	}
	w.write("deploy/b.yaml", "kind: ScaleSet\nname: bad\nspec:\n  image: bad:1.0.0\n")
	if got := w.run("apply", "-f", dir); got.code != 1 || !strings.Contains(got.err, "b.yaml:1: ScaleSet bad: the model bad:1.0.0 is known to be bad") {
		t.Errorf("known bad: exit %d\n%s", got.code, got.err)
	}
	if got := w.run("get", "scalesets", "-o", "json"); got.out != "[]\n" {
		t.Errorf("something was written: %s", got.out)
	}
	if got := w.run("apply", "-f", dir, "--force"); got.code != 0 || got.out != "scaleset/good created\nscaleset/bad created\n" {
		t.Errorf("forced: exit %d\n%s%s", got.code, got.out, got.err)
	}
}
