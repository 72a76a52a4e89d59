// Command workload is the sample program by itself: small enough to be pushed many times.
package main

import (
	"os"

	"github.com/droverhq/drover/internal/sample"
)

func main() { os.Exit(sample.Main()) }
