package proxy

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A backend that breaks answers thousands of requests a second alike: of those
// lines, so many are written a second.
const linesPerSecond = 20

// sampled is a slog.Handler that bounds lines, and says how many it left out.
type sampled struct {
	slog.Handler
	budget *budget
}

type budget struct {
	mu      sync.Mutex
	second  int64
	lines   int
	leftOut int
}

func newSampled(l *slog.Logger) *slog.Logger {
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	return slog.New(sampled{Handler: l.Handler(), budget: &budget{}})
}

func (s sampled) Handle(ctx context.Context, r slog.Record) error {
	ok, leftOut := s.budget.take(r.Time)
	if !ok {
		return nil
	}
	if leftOut > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("linesLeftOut", leftOut))
	}
	return s.Handler.Handle(ctx, r)
}

func (s sampled) WithAttrs(a []slog.Attr) slog.Handler {
	return sampled{Handler: s.Handler.WithAttrs(a), budget: s.budget}
}

func (s sampled) WithGroup(name string) slog.Handler {
	return sampled{Handler: s.Handler.WithGroup(name), budget: s.budget}
}

func (b *budget) take(now time.Time) (ok bool, leftOut int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if second := now.Unix(); second != b.second {
		b.second, b.lines = second, 0
	}
	if b.lines++; b.lines > linesPerSecond {
		b.leftOut++
		return false, 0
	}
	leftOut, b.leftOut = b.leftOut, 0
	return true, leftOut
}
