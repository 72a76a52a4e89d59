package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/droverhq/drover/internal/store"
)

// Loop is one control loop. Name, Store, Kinds, Keys, List and Reconcile are required.
type Loop struct {
	Name  string
	Store *store.Store
	// Kinds are watched; Keys says which keys a change touches.
	Kinds []string
	Keys  func(ctx context.Context, change store.Change) []string
	// List names all keys, at the start and at every resync.
	List func(ctx context.Context) ([]string, error)
	// Reconcile makes one key true. A positive again asks to be called again after that time.
	Reconcile func(ctx context.Context, key string) (again time.Duration, err error)

	Workers    int           // how many keys at once: 1 unless set
	Resync     time.Duration // 30 s unless set
	MinBackoff time.Duration // 100 ms unless set
	MaxBackoff time.Duration // 30 s unless set
	Logger     *slog.Logger

	once  sync.Once
	queue *queue
}

func (l *Loop) init() {
	l.once.Do(func() {
		l.Workers = max(l.Workers, 1)
		if l.Resync <= 0 {
			l.Resync = 30 * time.Second
		}
		if l.MinBackoff <= 0 {
			l.MinBackoff = 100 * time.Millisecond
		}
		if l.MaxBackoff <= 0 {
			l.MaxBackoff = 30 * time.Second
		}
		if l.Logger == nil {
			l.Logger = slog.New(slog.DiscardHandler)
		}
		l.queue = newQueue()
	})
}

// Wake touches a key, as a change does. It may be called before and while Run runs.
func (l *Loop) Wake(key string) {
	l.init()
	l.queue.add(key)
}

// Run blocks until ctx ends or the store is closed, and waits for its workers.
func (l *Loop) Run(ctx context.Context) error {
	l.init()
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { l.dispatch(ctx, &wg) })
	wg.Go(func() { l.resync(ctx) })
	err := l.watch(ctx)
	cancel()
	wg.Wait()
	return err
}

// watch feeds the queue from the store's changes. A watch that fell behind
// starts anew from a list, which touches every key.
func (l *Loop) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		after := l.Store.Revision()
		if err := l.all(ctx); err != nil {
			return l.ended(ctx, err)
		}
		err := l.follow(ctx, after)
		if !errors.Is(err, store.ErrTooOld) {
			return l.ended(ctx, err)
		}
		l.Logger.Warn("watch fell behind, listing again", "loop", l.Name)
	}
	return nil
}

func (l *Loop) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("loop %s: %w", l.Name, err)
}

func (l *Loop) follow(ctx context.Context, after int64) error {
	w, err := l.Store.Watch(ctx, after, store.Filter{Kinds: l.Kinds})
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		changes, err := w.Next(ctx)
		if err != nil {
			return err
		}
		for _, c := range changes {
			for _, key := range l.Keys(ctx, c) {
				l.queue.add(key)
			}
		}
	}
}

func (l *Loop) all(ctx context.Context) error {
	keys, err := l.List(ctx)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for _, key := range keys {
		l.queue.add(key)
	}
	return nil
}

func (l *Loop) resync(ctx context.Context) {
	tick := time.NewTicker(l.Resync)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := l.all(ctx); err != nil && ctx.Err() == nil {
				l.Logger.Error("resync", "loop", l.Name, "err", err)
			}
		}
	}
}

// dispatch gives each due key a worker of its own, so that many cost nothing while
// there is nothing to do.
func (l *Loop) dispatch(ctx context.Context, workers *sync.WaitGroup) {
	free := make(chan struct{}, l.Workers)
	for {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
			return
		}
		key, tries, ok := l.queue.next(ctx)
		if !ok {
			return
		}
		workers.Go(func() {
			l.work(ctx, key, tries)
			<-free
		})
	}
}

func (l *Loop) work(ctx context.Context, key string, tries int) {
	again, err := l.Reconcile(ctx, key)
	switch {
	case err != nil && ctx.Err() != nil:
	case err != nil:
		wait := backoff(tries, l.MinBackoff, l.MaxBackoff)
		l.Logger.Warn("reconcile", "loop", l.Name, "key", key, "err", err, "again", wait)
		l.queue.failed(key, wait)
	default:
		l.queue.done(key, again)
	}
}

// backoff doubles from least to most.
func backoff(tries int, least, most time.Duration) time.Duration {
	wait := least
	for range tries {
		if wait *= 2; wait >= most {
			return most
		}
	}
	return wait
}
