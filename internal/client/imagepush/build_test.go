package imagepush

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// sample makes a folder with one of everything; what differs between machines
// (times, umask, order of creation) differs between calls.
func sample(t *testing.T, shuffled bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "app")
	files := []struct {
		name, content string
		mode          os.FileMode
	}{
		{"server", "#!/bin/sh\necho hello\n", 0o755},
		{"a/b/c.txt", "deep", 0o644},
		{"a.txt", "before a slash", 0o644},
		{"empty", "", 0o600},
		{"ünïcode " + strings.Repeat("long", 40), "x", 0o640},
		{"big", strings.Repeat("0123456789abcdef", 20_000), 0o444},
	}
	if shuffled {
		slices.Reverse(files)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		mode := f.mode
		if shuffled && mode&0o111 == 0 {
			mode = 0o666
		} else if shuffled {
			mode = 0o711
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(f.content), 0o600), os.Chmod(path, mode))
		if shuffled {
			must(t, os.Chtimes(path, time.Now(), time.Unix(1, 0)))
		}
	}
	must(t, os.MkdirAll(filepath.Join(dir, "void"), 0o755), os.Symlink("../a.txt", filepath.Join(dir, "a/link")),
		os.Symlink("nowhere/yet", filepath.Join(dir, "dangling")), os.Symlink("a", filepath.Join(dir, "dir")))
	if shuffled {
		must(t, os.Chmod(dir, 0o711), os.Chmod(filepath.Join(dir, "void"), 0o777))
	}
	return dir
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func build(t *testing.T, o Options) v1.Image {
	t.Helper()
	img, err := Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Fatal(err)
	}
	return img
}

// golden is the digest of sample's image. When it changes, every user's unchanged
// folder becomes another version: bump a compressor only knowing that.
const golden = "sha256:68888542e464bb327dd25f0ca53803df6d3b996b2d26bf0fcd5d559cbdcdb0a2"

func TestTheSameFolderGivesTheSameDigest(t *testing.T) {
	options := func(dir string) Options {
		return Options{Layers: []Folder{{Path: dir}}, Entrypoint: []string{"./server"}, Env: []string{"A=b"}, Labels: map[string]string{"x": "1", "a": "2"}}
	}
	for _, shuffled := range []bool{false, true} {
		img := build(t, options(sample(t, shuffled)))
		if d, err := img.Digest(); err != nil || d.String() != golden {
			t.Errorf("shuffled %v: %s %v, want %s", shuffled, d, err, golden)
		}
	}
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	if d, err := build(t, options(sample(t, false))).Digest(); err != nil || d.String() != golden {
		t.Errorf("with another umask: %s %v", d, err)
	}
}

func entries(t *testing.T, l v1.Layer) map[string]*tar.Header {
	t.Helper()
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, names := map[string]*tar.Header{}, []string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(epoch.Time) || slices.Contains(names, h.Name) {
			t.Errorf("%+v", h)
		}
		names = append(names, h.Name)
		all[h.Name] = h
	}
}

func TestWhatALayerHolds(t *testing.T) {
	img := build(t, Options{Layers: []Folder{{Path: sample(t, true)}}})
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if mt, err := layers[0].MediaType(); err != nil || mt != types.OCILayer {
		t.Errorf("%s %v", mt, err)
	}
	got := entries(t, layers[0])
	for name, want := range map[string]struct {
		kind byte
		mode int64
		link string
	}{
		"./": {tar.TypeDir, 0o755, ""}, "void/": {tar.TypeDir, 0o755, ""}, "a/b/": {tar.TypeDir, 0o755, ""},
		"server": {tar.TypeReg, 0o755, ""}, "empty": {tar.TypeReg, 0o644, ""}, "big": {tar.TypeReg, 0o644, ""},
		"a/link": {tar.TypeSymlink, 0o777, "../a.txt"}, "dangling": {tar.TypeSymlink, 0o777, "nowhere/yet"}, "dir": {tar.TypeSymlink, 0o777, "a"},
	} {
		h := got[name]
		if h == nil || h.Typeflag != want.kind || h.Mode != want.mode || h.Linkname != want.link {
			t.Errorf("%s: %+v", name, h)
		}
	}
	if len(got) != 13 {
		t.Errorf("%d entries: %v", len(got), got)
	}
}

func TestLayersWithAPrefix(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "drover"), []byte("binary"), 0o755))
	img := build(t, Options{Layers: []Folder{{Path: dir, Prefix: "/opt//bin/"}, {Path: sample(t, false)}}, WorkingDir: "/opt"})
	layers, err := img.Layers()
	if err != nil || len(layers) != 2 {
		t.Fatal(layers, err)
	}
	got := entries(t, layers[0])
	if len(got) != 3 || got["opt/"] == nil || got["opt/bin/"] == nil || got["opt/bin/drover"] == nil {
		t.Errorf("%v", got)
	}
}

func TestConfiguration(t *testing.T) {
	dir := t.TempDir()
	img := build(t, Options{
		Layers: []Folder{{Path: dir}}, Entrypoint: []string{"./a", "b c"}, Cmd: []string{"d"}, Env: []string{"K=v=w"},
		WorkingDir: "/srv", Labels: map[string]string{"l": "m"}, Platform: "linux/arm64",
	})
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.OS != "linux" || c.Architecture != "arm64" || !slices.Equal(c.Config.Entrypoint, []string{"./a", "b c"}) || !slices.Equal(c.Config.Cmd, []string{"d"}) ||
		!slices.Equal(c.Config.Env, []string{"K=v=w"}) || c.Config.WorkingDir != "/srv" || c.Config.Labels["l"] != "m" || !c.Created.Equal(epoch.Time) {
		t.Errorf("%+v", c)
	}
}

func TestFoldersThatAreRefused(t *testing.T) {
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "secret"), nil, 0o600))
	link := func(target string) func(string) error {
		return func(dir string) error {
			return errors.Join(os.MkdirAll(filepath.Join(dir, "sub"), 0o755), os.Symlink(target, filepath.Join(dir, "sub", "link")))
		}
	}
	for name, c := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"an absolute link":     {link(outside), "sub/link: is a symbolic link"},
		"one to /etc/passwd":   {link("/etc/passwd"), "sub/link"},
		"one that leads out":   {link("../../x"), "sub/link"},
		"out and back":         {link("../../app/sub"), "sub/link"},
		"a loop":               {link("link"), "sub/link"},
		"out through a link":   {func(d string) error { return errors.Join(os.Symlink(".", d+"/here"), link("../here/../x")(d)) }, "sub/link"},
		"a pipe":               {func(d string) error { return syscall.Mkfifo(filepath.Join(d, "p"), 0o600) }, "p: is a named pipe"},
		"a missing folder":     {func(d string) error { return os.RemoveAll(d) }, "no such file"},
		"a file instead":       {func(d string) error { return errors.Join(os.RemoveAll(d), os.WriteFile(d, nil, 0o600)) }, "not a directory"},
		"a socket":             {socket, "is a socket"},
		"what cannot be read":  {func(d string) error { return link("../sub/link/x")(d) }, "sub/link"},
		"a folder, a prefix..": {func(string) error { return nil }, "leads out of the image"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "app")
			must(t, os.Mkdir(dir, 0o755), c.make(dir))
			f := Folder{Path: dir}
			if strings.HasSuffix(name, "..") {
				f.Prefix = "a/../../b"
			}
			if _, err := Build(t.Context(), Options{Layers: []Folder{f}}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if _, err := Build(t.Context(), Options{}); err == nil {
		t.Error("an image of nothing")
	}
	for _, o := range []Options{{Env: []string{"A"}}, {Env: []string{"=b"}}, {Platform: "linux"}, {Platform: "/x"}} {
		o.Layers = []Folder{{Path: t.TempDir()}}
		if _, err := Build(t.Context(), o); err == nil {
			t.Errorf("%+v", o)
		}
	}
}

func socket(dir string) error {
	// A socket's path is short: the folder's own may be too long for one.
	back, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	l, err := net.Listen("unix", "s")
	if err == nil {
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		err = l.Close()
	}
	return errors.Join(err, os.Chdir(back))
}

func TestFolderThatChangesIsAnError(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	must(t, os.WriteFile(file, []byte("one"), 0o644))
	layers, err := build(t, Options{Layers: []Folder{{Path: dir}}}).Layers()
	if err != nil {
		t.Fatal(err)
	}
	must(t, os.WriteFile(file, []byte("two"), 0o644))
	for _, open := range []func() (io.ReadCloser, error){layers[0].Compressed, layers[0].Uncompressed} {
		r, err := open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, errChanged) {
			t.Error(err)
		}
		must(t, r.Close())
	}
}

func TestClosingALayerEndsItsReader(t *testing.T) {
	layers, err := build(t, Options{Layers: []Folder{{Path: sample(t, false)}}}).Layers()
	if err != nil {
		t.Fatal(err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
		t.Fatal(err)
	}
	must(t, r.Close()) // returns only when the goroutine has
	var rest bytes.Buffer
	if _, err := rest.ReadFrom(r); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

func TestSplitCommand(t *testing.T) {
	for line, want := range map[string][]string{
		"./server":                   {"./server"},
		"  python3   -u app.py ":     {"python3", "-u", "app.py"},
		`a "b c" 'd "e' f\ g ""`:     {"a", "b c", `d "e`, "f g", ""},
		`sh -c 'echo $HOME; ls | x'`: {"sh", "-c", "echo $HOME; ls | x"},
		"a $HOME":                    {"a", "$HOME"},
		"a ~ * ?":                    {"a", "~", "*", "?"},
	} {
		if got, err := SplitCommand(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v", line, got, err)
		}
	}
	for _, line := range []string{"", "  ", `a "b`, "a 'b", "a; b", "a | b", "a && b", "a > b", "a <b", `a \`} {
		if got, err := SplitCommand(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}
