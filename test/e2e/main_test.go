package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/droverhq/drover/internal/testtool"
)

// long runs the full sizes: go test ./test/e2e -long -timeout 2h
var long = flag.Bool("long", false, "run the full sizes")

// size is the full one with -long.
func size(small, full int) int {
	if *long {
		return full
	}
	return small
}

// The binaries under test, built once.
var drover, workload string

func TestMain(m *testing.M) {
	flag.Parse()
	moreBesides()
	os.Exit(run(m))
}

// moreBesides lets one story more than there are cores run beside others, unless told
// otherwise: most of the time they wait for a bake, a drain or a canary's step.
func moreBesides() {
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		flag.Set("test.parallel", strconv.Itoa(runtime.GOMAXPROCS(0)+1))
	}
}

// builtBinaries is where a test that runs itself again has left them.
const builtBinaries = "DROVER_E2E_BINARIES"

func run(m *testing.M) int {
	if dir := os.Getenv(builtBinaries); dir != "" {
		drover, workload = filepath.Join(dir, "drover"), filepath.Join(dir, "program", "workload")
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "drover-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	defer testtool.RemovePebble()
	drover, workload = filepath.Join(dir, "drover"), filepath.Join(dir, "program", "workload")
	for bin, pkg := range map[string]string{drover: "../../cmd/drover", workload: "./workload"} {
		if out, err := exec.Command("go", "build", "-o", bin, pkg).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", pkg, err, out)
			return 1
		}
	}
	return m.Run()
}
