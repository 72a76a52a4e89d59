package process

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/compute/computetest"
	"github.com/droverhq/drover/internal/compute/sandbox"
	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/testtool"
)

// An image that brings its own shell is the whole world of its program.
func TestRootImage(t *testing.T) {
	if err := sandbox.Check(resource.RootImage); err != nil {
		t.Logf("refused here: %v", err)
		return
	}
	w := computetest.NewWorld(t, subject())
	files := map[string]computetest.File{"bin/sh": {Text: read(t, "/bin/sh"), Mode: 0o755}}
	out, err := exec.Command(testtool.Require(t, "ldd"), "/bin/sh").Output()
	must(t, err)
	for field := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(field, "/") {
			files[field[1:]] = computetest.File{Text: read(t, field), Mode: 0o755}
		}
	}
	spec := w.Spec()
	spec.Model.Digest = w.Digest(files, ocispec.ImageConfig{Entrypoint: []string{"/bin/sh", "-c"}, Cmd: []string{`
		cd "$DATA_DIR" && echo $$ > starts && echo x > "$TMPDIR/x" && for f in / /tmp /etc; do echo $f/*; done > seen
		read forever < /dev/ptmx`}})
	s := w.Start(spec)
	w.Until("it has looked around", func() bool { return strings.Count(readOr(w.DataFile(spec.Name, "seen")), "\n") == 3 })
	seen := readOr(w.DataFile(spec.Name, "seen"))
	if strings.Contains(seen, "passwd") || strings.Contains(seen, "/home") || !strings.Contains(seen, "/tmp/x\n") {
		t.Errorf("it sees\n%s", seen)
	}
	if !s.Running {
		t.Errorf("%+v", s)
	}
	w.OnlyOne(spec.Name)
	w.Reopen()
	w.OnlyOne(spec.Name)
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return string(text)
}

func readOr(name string) string {
	text, _ := os.ReadFile(name)
	return string(text)
}
