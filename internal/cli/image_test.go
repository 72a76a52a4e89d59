package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/resource"
)

func TestImagePush(t *testing.T) {
	w := newWorld(t)
	folder := filepath.Join(w.data, "hello")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	w.write("hello/server", "#!/bin/sh\n")
	args := []string{"image", "push", "team/hello:1.0.0", folder, "--entrypoint", "./server --name 'two words'", "--env", "A=1"}
	got := w.run(args...)
	if ok, err := regexp.MatchString(`^team/hello:1\.0\.0 sha256:[0-9a-f]{64}\n$`, got.out); got.code != 0 || !ok || err != nil || got.err != "" {
		t.Fatalf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	if again := w.run(args...); again.out != got.out {
		t.Errorf("the same folder gave %s and %s", got.out, again.out)
	}
	for _, r := range w.requests {
		if strings.Contains(r, " /v2/") && !strings.HasSuffix(r, " Bearer "+adminSecret) {
			t.Errorf("without the token: %s", r)
		}
	}
}

func TestImageList(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"web:1.9.0", "web:1.10.0", "api:2.0.0"} {
		v := resource.ImageVersion{Meta: resource.Meta{Kind: resource.KindImageVersion, Name: name}}
		v.Status.Digest = "sha256:" + strings.Repeat("0123456789abcdef", 4)
		v.Status.Bytes, v.Status.InUseBy, v.Status.PublishedAt = 3<<20, []string{"front"}, time.Now().Add(-time.Hour)
		put(w, v)
	}
	got := w.run("image", "list")
	want := `NAME         DIGEST                SIZE      IN USE BY   PUBLISHED
api:2.0.0    sha256:0123456789ab   3.0 MiB   front       60m ago
web:1.10.0   sha256:0123456789ab   3.0 MiB   front       60m ago
web:1.9.0    sha256:0123456789ab   3.0 MiB   front       60m ago
`
	if got.code != 0 || got.out != want {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	if got := w.run("image", "list", "web"); strings.Contains(got.out, "api:") || strings.Count(got.out, "web:") != 2 {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
	if got := w.run("image", "list", "none"); got.code != 1 {
		t.Errorf("exit %d\n%s%s", got.code, got.out, got.err)
	}
}
