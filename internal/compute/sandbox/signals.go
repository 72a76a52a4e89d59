package sandbox

import (
	"os"
	"os/signal"
	"syscall"
)

// resetSignals gives ignored signals a handler: exec sets those back to the
// default, but leaves ignored ones ignored (nohup, a background job). Only
// ignored ones: a handler would swallow the SIGTERM that is to end us.
func resetSignals() {
	sink := make(chan os.Signal, 1)
	for n := syscall.Signal(1); n < 32; n++ {
		if signal.Ignored(n) {
			signal.Notify(sink, n)
		}
	}
}
