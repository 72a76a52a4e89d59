package process

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/droverhq/drover/internal/compute/computetest"
)

// TestMain is also the programs that the tests start: this binary stands in for
// drover itself as the launcher, and for the roles of computetest.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "launch":
			os.Exit(Launch(os.Args[2:], func(s Step) { computetest.LauncherStep(string(s)) }))
		case "control":
			os.Exit(control(os.Args[2]))
		}
		if code, ok := computetest.Main(os.Args[1:]); ok {
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}

// control is a Drover that starts one instance and dies on the way.
func control(text string) int {
	var run computetest.Control
	if err := json.Unmarshal([]byte(text), &run); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	d, err := New(Options{
		Data: run.Data, Images: computetest.FolderImages(run.Images),
		OnStep: func(s Step) { run.Step(string(s)) },
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return run.Start(d)
}
