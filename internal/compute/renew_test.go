package compute_test

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/compute/computetest"
	"github.com/droverhq/drover/internal/resource"
)

// A restart that was asked for is none that is counted, and keeps everything.
func TestRestartOnRequest(t *testing.T) {
	s := newSite(t)
	name := s.create("self", "serve")
	first := s.healthy(name)
	s.edit(name, func(st *resource.InstanceStatus) { st.Restart = 1 })
	second := s.wait(name, "is restarted", func(st resource.InstanceStatus) bool { return isRunning(st) && st.Restarted == 1 })
	if second.PID == first.PID || second.Restarts != 0 || second.LastExit != nil || second.Address != first.Address || second.Health != resource.HealthInitializing {
		t.Errorf("%+v", second)
	}
	s.restart()
	third := s.healthy(name)
	if third.PID != second.PID || third.Restarted != 1 {
		t.Errorf("after another start of Drover: %+v", third)
	}
	s.OnlyOne(name)
}

func TestReimageAndOtherModel(t *testing.T) {
	s := newSite(t)
	name := s.create()
	first := s.wait(name, "runs", isRunning)
	s.Until("the program has started", func() bool { return len(s.Starts(name)) == 1 })
	s.edit(name, func(st *resource.InstanceStatus) { st.Reimage = 1 })
	second := s.wait(name, "is reimaged", func(st resource.InstanceStatus) bool { return isRunning(st) && st.Reimaged == 1 })
	s.Until("the new program has started", func() bool { return len(s.Starts(name)) == 2 })
	digest := s.Digest(map[string]computetest.File{
		"other": {Text: "#!/bin/sh\necho $$ >> $DATA_DIR/starts\nexec sleep 1000", Mode: 0o755},
	}, ocispec.ImageConfig{Entrypoint: []string{"./other"}})
	s.edit(name, func(st *resource.InstanceStatus) { st.Model.Digest, st.Model.Command = digest, nil })
	third := s.wait(name, "runs the other model", func(st resource.InstanceStatus) bool { return isRunning(st) && st.PID != second.PID })
	if first.PID == second.PID || third.Restarts != 0 || third.LastExit != nil || third.Address != first.Address {
		t.Errorf("%+v", third)
	}
	s.OnlyOne(name)
}
