package computetest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/resource"
)

// program is what test instances run. It writes its pid down first, so that a
// second process is seen however short it lives.
const program = `#!/bin/sh
echo $$ >> "$DATA_DIR/starts"
echo "started as $DROVER_INSTANCE"
case "$1" in
sleep) exec sleep 1000 ;;
exit) exit "$2" ;;
polite) trap 'echo bye > "$DATA_DIR/bye"; exit 0' TERM; : > "$DATA_DIR/ready"; while :; do sleep 1000 & wait $!; done ;;
stubborn) trap '' TERM; : > "$DATA_DIR/ready"; while :; do sleep 1000; done ;;
self) shift; exec "$SELF" "$@" ;;
sh) shift; exec /bin/sh -c "$*" ;;
esac
`

// World is a data folder with a driver on it, and a gallery.
type World struct {
	testing.TB
	Data   string
	Images *Images
	Driver compute.Driver
	subject
	self   string // this test binary, where any user may run it
	digest string // of the usual image
	serial int
}

type subject = Subject

// NewWorld makes an empty one; whatever it starts is gone at the test's end.
func NewWorld(t testing.TB, s Subject) *World {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		must(t, os.Chmod(d, 0o711)) // users of their own must pass through
	}
	w := &World{TB: t, Data: filepath.Join(dir, "data"), Images: FolderImages(filepath.Join(dir, "images")), subject: s}
	must(t, os.Mkdir(w.Data, 0o711))
	must(t, os.Mkdir(w.Images.dir, 0o700))
	w.self = copySelf(t, dir)
	w.digest = w.Images.Add(t, map[string]File{"run": {program, 0o755}, "notes": {"no program", 0o644}}, ocispec.ImageConfig{
		Entrypoint: []string{"./run"}, Cmd: []string{"sleep"},
	})
	w.Driver = s.New(t, w)
	t.Cleanup(w.end)
	return w
}

func (w *World) end() {
	if _, err := compute.StopAll(context.Background(), w.Driver); err != nil {
		w.Errorf("stop everything: %v", err)
	}
	if states, err := w.Driver.List(context.Background()); err == nil {
		for _, s := range states {
			if err := w.Driver.Delete(context.Background(), s.Name, 0); err != nil {
				w.Errorf("delete %s: %v", s.Name, err)
			}
		}
	}
	if err := w.Driver.Close(); err != nil {
		w.Errorf("close the driver: %v", err)
	}
}

// Reopen closes the driver and opens another on the same folder, as a restart of Drover does.
func (w *World) Reopen() {
	w.Helper()
	must(w, w.Driver.Close())
	w.Driver = w.New(w, w)
}

// copySelf puts this binary where a workload's user can run it.
func copySelf(t testing.TB, dir string) string {
	t.Helper()
	from, err := os.Open(os.Args[0])
	must(t, err)
	defer from.Close()
	name := filepath.Join(dir, "self")
	to, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o755)
	must(t, err)
	_, err = io.Copy(to, from)
	must(t, err)
	must(t, to.Close())
	return name
}

// Spec is a new instance of the usual image that runs this command.
func (w *World) Spec(command ...string) compute.Spec {
	w.serial++
	spec := compute.Spec{
		Name: "web_" + strconv.Itoa(w.serial), Set: "web", Colour: resource.Blue, Port: FreePort(w),
		Model:       resource.Model{Digest: w.digest, Version: "1.0.0", Env: map[string]string{"SELF": w.self}},
		StopTimeout: resource.Duration(5 * time.Second),
	}
	if len(command) > 0 {
		spec.Model.Command = append([]string{"./run"}, command...)
	}
	if os.Geteuid() == 0 {
		// Not that of another test process that runs at the same time.
		spec.UID = 2_000_000 + os.Getpid()%600*100 + w.serial
	}
	return spec
}

// Digest makes an image of just these files.
func (w *World) Digest(files map[string]File, config ocispec.ImageConfig) string {
	return w.Images.Add(w, files, config)
}

// Missing is the digest of no image.
func Missing() string { return digest.FromString("missing").String() }

// Start starts an instance and waits until its program has written its pid down.
func (w *World) Start(spec compute.Spec) compute.State {
	w.Helper()
	before := len(w.Starts(spec.Name))
	state, err := w.Driver.Start(w.Context(), spec)
	must(w, err)
	w.Until("the program writes its pid down", func() bool { return len(w.Starts(spec.Name)) > before })
	return state
}

// Inspect is the driver's, without an error.
func (w *World) Inspect(name string) compute.State {
	w.Helper()
	state, err := w.Driver.Inspect(w.Context(), name)
	must(w, err)
	return state
}

// DataFile is the path of a file in an instance's data folder.
func (w *World) DataFile(instance, name string) string {
	set, _, _ := resource.SplitInstanceName(instance)
	return filepath.Join(w.Data, "instances", set, instance, "data", name)
}

// Has reports whether a file is in an instance's data folder.
func (w *World) Has(instance, name string) bool {
	_, err := os.Stat(w.DataFile(instance, name))
	return err == nil
}

// Starts are the pids of every process that ever ran the instance's program.
func (w *World) Starts(instance string) []int {
	text, err := os.ReadFile(w.DataFile(instance, "starts"))
	if err != nil {
		return nil
	}
	var pids []int
	for line := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(line)
		must(w, err)
		pids = append(pids, pid)
	}
	return pids
}

// OnlyOne checks that of all processes that ever ran the instance's program
// exactly one lives, and that the driver says so.
func (w *World) OnlyOne(name string) {
	w.Helper()
	state := w.Inspect(name)
	w.Until("the running program has written its pid down", func() bool {
		return !state.Running || slices.Contains(w.Starts(name), state.PID)
	})
	var living []int
	for _, pid := range w.Starts(name) {
		if alive(pid) {
			living = append(living, pid)
		}
	}
	if !state.Running || len(living) != 1 || living[0] != state.PID {
		w.Fatalf("%s: running %v as %d; living %v of %v", name, state.Running, state.PID, living, w.Starts(name))
	}
}

// Until waits for something to become true, as long as is reasonable.
func (w *World) Until(what string, ok func() bool) {
	w.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			w.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Exit waits until the driver says that an instance's process has ended.
func (w *World) Exit(name string) compute.State {
	w.Helper()
	deadline := time.After(20 * time.Second)
	for {
		if state := w.Inspect(name); !state.Running {
			return state
		}
		select {
		case <-w.Driver.Exits():
		case <-deadline:
			w.Fatalf("nobody said that %s ended", name)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reason is why a start failed.
func reason(err error) string {
	if e, ok := err.(*compute.StartError); ok {
		return e.Reason
	}
	return fmt.Sprintf("%T: %v", err, err)
}
