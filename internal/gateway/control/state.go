package control

import (
	"path/filepath"

	"github.com/droverhq/drover/internal/gateway/wire"
)

// State is the gateway as its control process sees it.
type State struct {
	Connected   bool
	Incarnation string
	PID         int
	// Applied is the revision of the documents that it routes by.
	Applied int64
}

// State says whether the gateway answers, and which one it is.
func (c *Control) State() State {
	s := c.state()
	if id, known := wire.Serving.Recorded(c.runDir); known {
		s.PID = id.PID
	}
	return s
}

func (a *answers) state() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return State{Connected: a.connected, Incarnation: a.facts.Incarnation, Applied: a.applied}
}

// Runs says whether a gateway of the data folder is alive, with or without a control process.
func Runs(dataDir string) bool {
	for _, r := range []wire.Role{wire.Serving, wire.Leaving} {
		if id, known := r.Recorded(filepath.Join(dataDir, "run")); known && id.Alive() {
			return true
		}
	}
	return false
}
