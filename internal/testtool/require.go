// Package testtool finds the outside programs that some tests run.
package testtool

import (
	"os"
	"os/exec"
	"testing"
)

// Require returns the path of an outside program. Where it is missing the test
// is skipped, or fails when DROVER_TEST_REQUIRE=1: there is no other skip.
func Require(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("DROVER_TEST_REQUIRE") == "1" {
		t.Fatalf("%s is not installed and DROVER_TEST_REQUIRE=1 wants it", program)
	}
	t.Skipf("%s is not installed", program)
	return ""
}
