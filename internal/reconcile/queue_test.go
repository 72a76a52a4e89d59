package reconcile

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueGivesAKeyToOneWorkerAtATime(t *testing.T) {
	q := newQueue()
	ctx, cancel := context.WithCancel(t.Context())
	var running [3]atomic.Int32
	var handled atomic.Int32
	keys := []string{"a", "b", "c"}
	index := map[string]int{"a": 0, "b": 1, "c": 2}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				key, _, ok := q.next(ctx)
				if !ok {
					return
				}
				if n := running[index[key]].Add(1); n != 1 {
					t.Errorf("%d workers hold %s", n, key)
				}
				handled.Add(1)
				running[index[key]].Add(-1)
				q.done(key, 0)
			}
		})
	}
	for range 5000 {
		for _, k := range keys {
			q.add(k)
		}
	}
	cancel()
	wg.Wait()
	if handled.Load() == 0 {
		t.Fatal("nothing was handled")
	}
}

func TestQueueComesAgainWhenTouchedWhileRunning(t *testing.T) {
	q := newQueue()
	q.add("a")
	key, _, _ := q.next(t.Context())
	q.add("a")
	if k, _, _ := q.take(time.Now()); k != "" {
		t.Fatal("handed out while running")
	}
	q.done(key, 0)
	if k, _, _ := q.take(time.Now()); k != "a" {
		t.Fatalf("got %q, the touch was lost", k)
	}
}

func TestQueueWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		start := time.Now()
		asked := map[string]time.Duration{"later": 3 * time.Second, "soon": 2 * time.Second}
		for key := range asked {
			q.add(key)
		}
		for range asked {
			key, _, _ := q.next(t.Context())
			q.done(key, asked[key])
		}
		for _, want := range []string{"soon", "later"} {
			key, _, ok := q.next(t.Context())
			if !ok || key != want || time.Since(start) != asked[want] {
				t.Fatalf("got %q after %v, want %q after %v", key, time.Since(start), want, asked[want])
			}
			q.done(key, 0)
		}
	})
}

// A touch brings a key that failed forward, whether it came during the run or
// after it, and never to at once.
func TestTouchOfAFailedKey(t *testing.T) {
	for name, c := range map[string]struct {
		backoff, touched time.Duration // touched: how long after the failure; below 0: during the run
		want             time.Duration
	}{
		"during the run":          {30 * time.Second, -1, touchedWait},
		"just after it":           {30 * time.Second, 0, touchedWait},
		"later":                   {30 * time.Second, 5 * time.Second, 5 * time.Second},
		"a short backoff, during": {100 * time.Millisecond, -1, 100 * time.Millisecond},
		"a short backoff, after":  {100 * time.Millisecond, 0, 100 * time.Millisecond},
		"not at all":              {30 * time.Second, time.Hour, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue()
				q.add("a")
				q.next(t.Context())
				if c.touched < 0 {
					q.add("a")
				} else {
					touch := time.AfterFunc(c.touched, func() { q.add("a") })
					defer touch.Stop()
				}
				failed := time.Now()
				q.failed("a", c.backoff)
				_, tries, _ := q.next(t.Context())
				if tries != 1 || time.Since(failed) != c.want {
					t.Fatalf("tried again after %v with %d failures, want %v and 1", time.Since(failed), tries, c.want)
				}
			})
		})
	}
}

// After a success a touch counts at once again.
func TestSuccessForgetsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.add("a")
		q.next(t.Context())
		q.failed("a", time.Second)
		q.next(t.Context())
		q.done("a", time.Hour)
		q.add("a")
		if key, tries, _ := q.take(time.Now()); key != "a" || tries != 0 {
			t.Fatalf("got %q with %d failures", key, tries)
		}
	})
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		tries int
		want  time.Duration
	}{{0, 100 * time.Millisecond}, {1, 200 * time.Millisecond}, {3, 800 * time.Millisecond}, {9, 30 * time.Second}, {200, 30 * time.Second}} {
		if got := backoff(c.tries, 100*time.Millisecond, 30*time.Second); got != c.want {
			t.Errorf("backoff(%d) = %v, want %v", c.tries, got, c.want)
		}
	}
}
