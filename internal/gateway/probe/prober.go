package probe

import (
	"context"
	"sync"
	"time"
)

// Target is what is asked, and how. Equal targets share one prober.
type Target struct {
	Address string
	// Started tells a process from its predecessor at the same address, in nanoseconds.
	Started  int64
	Path     string // empty: a TCP connect
	H2C      bool   // asked by HTTP/2 without TLS
	Expect   int    // the status that is a success; 0: 200
	Interval time.Duration
	Timeout  time.Duration
}

// Probers runs one prober for each target that somebody watches.
type Probers struct {
	ask    Asker
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu   sync.Mutex
	byID map[Target]*prober
}

// New makes Probers that ask by ask until Close.
func New(ask Asker) *Probers {
	ctx, cancel := context.WithCancel(context.Background())
	return &Probers{ask: ask, ctx: ctx, cancel: cancel, byID: map[Target]*prober{}}
}

// Close ends all probers and waits for them.
func (p *Probers) Close() {
	p.cancel()
	p.done.Wait()
}

// Watch is one interest in a target.
type Watch struct {
	prober *prober
	tell   func(Result)
}

// Watch calls tell after every probe of t, one at a time, and at once when
// something is known already. tell must not call Watch or Stop.
func (p *Probers) Watch(t Target, tell func(Result)) *Watch { return p.Resume(t, Result{}, tell) }

// Resume is Watch for a target of which another process knew something. Nobody who
// was healthy there is judged by the quick attempts that a new one gets.
func (p *Probers) Resume(t Target, known Result, tell func(Result)) *Watch {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.byID[t]
	if b == nil {
		b = &prober{probers: p, target: t, result: known, hurried: make(chan struct{}, 1), watches: map[*Watch]struct{}{}}
		p.byID[t] = b
		ctx, cancel := context.WithCancel(p.ctx)
		b.cancel = cancel
		p.done.Go(func() { b.run(ctx, known) })
	}
	w := &Watch{prober: b, tell: tell}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watches[w] = struct{}{}
	if !b.result.At.IsZero() {
		tell(b.result)
	}
	return w
}

// Stop ends the watch: once it has returned, tell is not called any more. The
// last one to stop ends the prober.
func (w *Watch) Stop() {
	b, p := w.prober, w.prober.probers
	p.mu.Lock()
	defer p.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.watches, w)
	if len(b.watches) == 0 && p.byID[b.target] == b {
		b.cancel()
		delete(p.byID, b.target)
	}
}

// Hurry asks again at once, and then quickly until a success.
func (w *Watch) Hurry() {
	select {
	case w.prober.hurried <- struct{}{}:
	default:
	}
}

// Once asks t a single time and calls tell with what came of it, unless stop was
// called before.
func (p *Probers) Once(t Target, tell func(error)) (stop func()) {
	ctx, cancel := context.WithCancel(p.ctx)
	p.done.Go(func() {
		defer cancel()
		asking, done := context.WithTimeout(ctx, t.Timeout)
		defer done()
		if err := p.ask(asking, t); ctx.Err() == nil {
			tell(err)
		}
	})
	return cancel
}

type prober struct {
	probers *Probers
	target  Target
	cancel  context.CancelFunc
	hurried chan struct{}

	mu      sync.Mutex // after Probers.mu
	watches map[*Watch]struct{}
	result  Result
}

func (b *prober) run(ctx context.Context, known Result) {
	s := schedule{interval: b.target.Interval}
	wait := time.Duration(0)
	if known.Successes > 0 {
		wait = time.Until(known.At.Add(s.interval))
	} else {
		s.hurry()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	case <-b.hurried:
		s.hurry()
	}
	for {
		began := time.Now()
		ok := b.once(ctx)
		if ctx.Err() != nil {
			return
		}
		timer.Reset(time.Until(began.Add(s.after(ok))))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-b.hurried:
			s.hurry()
		}
	}
}

func (b *prober) once(ctx context.Context) (ok bool) {
	asking, cancel := context.WithTimeout(ctx, b.target.Timeout)
	err := b.probers.ask(asking, b.target)
	cancel()
	if ctx.Err() != nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.result = b.result.next(time.Now(), err)
	for w := range b.watches {
		w.tell(b.result)
	}
	return err == nil
}
