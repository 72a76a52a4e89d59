package computetest

import (
	"os"
	"testing"
	"time"

	"github.com/droverhq/drover/internal/compute"
)

// used starts an instance that has written to its data disk and whose OS disk is
// not as its image has it.
func (w *World) used() compute.Spec {
	w.Helper()
	spec := w.Spec("sh", `cd "$DATA_DIR"; [ -e kept ] || { echo precious > new && mv new kept; }; exec sleep 1000`)
	w.Start(spec)
	w.Until("the data is written", func() bool { return w.Has(spec.Name, "kept") })
	must(w, os.Chmod(w.DataFile(spec.Name, "../os"), 0o755))
	must(w, os.WriteFile(w.DataFile(spec.Name, "../os/stray"), nil, 0o600))
	return spec
}

// kept checks that the data disk is what it was, and the OS disk or not. Not as root
// one that is not as its image has it is never started from.
func (w *World) kept(spec compute.Spec, disk bool) {
	w.Helper()
	disk = disk && os.Geteuid() == 0
	if _, err := os.Stat(w.DataFile(spec.Name, "../os/stray")); (err == nil) != disk {
		w.Errorf("the OS disk was kept: %t, want %t", err == nil, disk)
	}
	if _, err := os.Stat(w.DataFile(spec.Name, "../os/run")); err != nil {
		w.Errorf("the OS disk is not whole: %v", err)
	}
	if text, err := os.ReadFile(w.DataFile(spec.Name, "kept")); err != nil || string(text) != "precious\n" {
		w.Errorf("the data disk was not kept: %q, %v", text, err)
	}
}

func testReimage(w *World) {
	spec := w.used()
	must(w, w.Driver.Stop(w.Context(), spec.Name, time.Second))
	spec.Reimage = 1
	if s := w.Start(spec); s.Spec.Reimage != 1 {
		w.Errorf("reimaged: %+v", s.Spec)
	}
	w.kept(spec, false)
}

// testReimageInterrupted kills Drover at each step of a reimage: the next start ends
// with a new OS disk and the old data.
func testReimageInterrupted(w *World, s Subject) {
	for _, step := range s.Steps {
		w.TB.(*testing.T).Run("Drover dies at "+step, func(t *testing.T) {
			w := NewWorld(t, s)
			spec := w.used()
			must(w, w.Driver.Stop(w.Context(), spec.Name, time.Second))
			spec.Reimage = 1
			w.control(Control{Data: w.Data, Images: w.Images.dir, Spec: spec, DieAt: step})
			state, err := w.Driver.Start(w.Context(), spec)
			if err != nil || !state.Running || state.Spec.Reimage != 1 {
				t.Fatalf("%v: %+v", err, state)
			}
			w.kept(spec, false)
			w.OnlyOne(spec.Name)
		})
	}
}
