// Command workload is the sample program by itself, small enough to be pushed many
// times, with a gRPC service beside its own answers.
package main

import (
	"os"

	"github.com/droverhq/drover/internal/sample"
	"github.com/droverhq/drover/test/e2e/echo"
)

func main() { os.Exit(sample.Main(echo.Service)) }
