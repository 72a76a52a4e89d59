package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// replaceGateway starts the control process from another file, as an upgrade does,
// and waits until a gateway of that program serves.
func (tr *traffic) replaceGateway() {
	tr.t.Helper()
	s := tr.s
	next := filepath.Join(filepath.Dir(s.data), fmt.Sprint("drover-", len(tr.replaced)))
	program, err := os.ReadFile(drover)
	check(tr.t, err)
	check(tr.t, os.WriteFile(next, program, 0o755))
	elder := s.servingGateway()
	r := span{from: time.Now()}
	s.stop()
	s.program = next
	s.start()
	s.eventually(30*time.Second, "another gateway serves", func() (bool, error) {
		pid := s.servingGateway()
		return pid != 0 && pid != elder, nil
	})
	r.to = time.Now()
	tr.replaced = append(tr.replaced, r)
}

// servingGateway is the process that takes new connections, as it has recorded itself.
func (s *server) servingGateway() int {
	s.t.Helper()
	var id struct{ PID int }
	text, err := os.ReadFile(filepath.Join(s.data, "run", "gateway.json"))
	check(s.t, err)
	check(s.t, json.Unmarshal(text, &id))
	return id.PID
}

// gatewaysLeave waits until only the last one is there.
func (tr *traffic) gatewaysLeave() {
	tr.t.Helper()
	tr.s.eventually(2*time.Minute, "one gateway is left", func() (bool, error) { return len(tr.s.gateways()) == 1, nil })
}

// told checks that connections were closed by an answer that said so only where a
// gateway was replaced, and that those which were idle then were handed over.
func (tr *traffic) told(replacements int) {
	tr.t.Helper()
	busy, idle := tr.g.Stats().Told, tr.slow.Stats().Told
	tr.t.Logf("told to close: %d busy connections, %d that were idle most of the time", busy, idle)
	if replacements == 0 && busy+idle > 0 || idle > uint64(replacements*tr.slowOnes/2) {
		tr.t.Errorf("%d busy and %d idle connections were to be closed in %d replacements", busy, idle, replacements)
	}
}
