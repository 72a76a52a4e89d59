package gateway

import (
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/gateway/probe"
	"github.com/droverhq/drover/internal/gateway/wire"
)

// trial is the one attempt to validate a process by what was asked.
type trial struct {
	asked   wire.Validate
	stop    func()
	outcome atomic.Pointer[wire.Validation] // nil: not yet known
}

// validate asks a process once, as soon as it is healthy, and again only for
// something else.
func (t *set) validate(i *instance) {
	v := i.Validate
	if v == nil || t.state.stage == departing || !i.Healthy || i.Address == "" || i.trial != nil && i.trial.asked == *v {
		return
	}
	if i.trial != nil {
		i.trial.stop()
	}
	if known := t.state.elder[i.Name].Validation; known != nil && known.StartedAt.Equal(i.StartedAt) {
		i.trial = &trial{asked: *v, stop: func() {}}
		i.trial.outcome.Store(known)
		return
	}
	try, started := &trial{asked: *v}, i.StartedAt
	to := probe.Target{Address: i.Address, Path: v.Path, Expect: v.Expect, Timeout: v.Timeout}
	try.stop = t.state.probers.Once(to, func(err error) {
		outcome := wire.Validation{StartedAt: started, At: time.Now()}
		if err != nil {
			outcome.Error = err.Error()
		}
		try.outcome.Store(&outcome)
		t.state.touch()
	})
	i.trial = try
}
