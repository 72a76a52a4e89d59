package process

import (
	"errors"

	"github.com/droverhq/drover/internal/resource"
)

// cgroups: macOS has none.
type cgroups struct{}

func findCgroups(string) *cgroups { return &cgroups{} }

func (*cgroups) join(_ string, r resource.Resources) (files []string, counted bool, err error) {
	if r.CPU != nil || r.Memory != nil {
		return nil, false, errors.New("cpu and memory can be limited on Linux only")
	}
	return nil, false, nil
}

func (*cgroups) members(string) (pids []int, ok bool, err error) { return nil, false, nil }
func (*cgroups) noForks(string)                                  {}
func (*cgroups) remove(string) error                             { return nil }
func (*cgroups) names(string) []string                           { return nil }
func (*cgroups) close()                                          {}
