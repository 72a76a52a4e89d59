package demo

import (
	"context"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/client"
	"github.com/droverhq/drover/internal/load"
	"github.com/droverhq/drover/internal/resource"
)

// stage is what the story is at, for those who draw it.
type stage struct {
	mu      sync.Mutex
	chapter string
	rollout string
}

func (s *stage) begin(chapter, rollout string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chapter, s.rollout = chapter, rollout
}

func (s *stage) now() (chapter, rollout string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chapter, s.rollout
}

// watchStage draws until ctx ends.
func (d *demo) watchStage(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var last load.Stats
	lastAt := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s := d.look(ctx)
		now := time.Now()
		stats := d.load.Stats()
		s.requests, s.failed, s.p99Ms = stats.Requests, stats.Failed, stats.Quantile(0.99)
		s.perSecond = float64(stats.Requests-last.Requests) / now.Sub(lastAt).Seconds()
		last, lastAt = stats, now
		if ctx.Err() == nil {
			d.display.show(s)
		}
	}
}

// look asks the server for everything that the picture shows. What it cannot get
// is left out: the picture comes again in a moment.
func (d *demo) look(ctx context.Context) scene {
	chapter, rollout := d.stage.now()
	s := scene{elapsed: time.Since(d.started), total: d.Duration, chapter: chapter}
	list, err := d.server.client.List(ctx, resource.KindInstance, client.Filter{Set: setName})
	if err != nil {
		return s
	}
	for _, doc := range list.Items {
		in, err := resource.From[resource.InstanceSpec, resource.InstanceStatus](doc)
		if err != nil {
			continue
		}
		s.instances = append(s.instances, actor{
			name: in.Name, colour: string(in.Status.Colour), version: in.Status.Version,
			health: string(in.Status.Health), admission: string(in.Status.Admission),
		})
	}
	if rollout == "" {
		return s
	}
	if ro, err := d.server.rollout(ctx, rollout); err == nil {
		s.rollout = joined(ro.Name+" "+string(ro.Status.Phase), ro.Status.Step)
		s.progress = progress(ro.Status)
	}
	return s
}

// progress is how far a rollout is, by its phase.
func progress(s resource.RolloutStatus) float64 {
	switch s.Phase {
	case resource.RolloutPending:
		return 0.05
	case resource.RolloutStarting:
		return 0.2
	case resource.RolloutShifting:
		return 0.4
	case resource.RolloutBaking:
		done := 1.0
		if bake := s.Policy.BakeTime.Std(); bake > 0 {
			done = min(float64(time.Since(s.PhaseSince))/float64(bake), 1)
		}
		return 0.45 + 0.45*done
	case resource.RolloutFinishing, resource.RolloutRollingBack:
		return 0.92
	}
	return 1
}
