package process

import (
	"testing"

	"github.com/droverhq/drover/internal/compute"
	"github.com/droverhq/drover/internal/compute/computetest"
)

func subject() computetest.Subject {
	return computetest.Subject{
		New: func(t testing.TB, w *computetest.World) compute.Driver {
			t.Helper()
			d, err := New(Options{Data: w.Data, Images: w.Images})
			if err != nil {
				t.Fatal(err)
			}
			return d
		},
		Steps: []string{
			string(StepFolder), string(StepLocked), string(StepPrepared), string(StepForked), string(StepStarted),
		},
		LauncherSteps: []string{string(StepLaunched), string(StepRecorded)},
	}
}

func TestContract(t *testing.T) { computetest.Run(t, subject()) }
