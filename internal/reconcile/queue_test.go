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
			q.add(k, 0)
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
	q.add("a", 0)
	key, _, _ := q.next(t.Context())
	q.add("a", 0)
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
		q.add("later", 5*time.Second)
		q.add("soon", 2*time.Second)
		q.add("later", 3*time.Second)
		for _, want := range []struct {
			key   string
			after time.Duration
		}{{"soon", 2 * time.Second}, {"later", 3 * time.Second}} {
			key, _, ok := q.next(t.Context())
			if !ok || key != want.key || time.Since(start) != want.after {
				t.Fatalf("got %q after %v, want %v", key, time.Since(start), want)
			}
			q.done(key, 0)
		}
	})
}

func TestFailureCountsTriesAndIsNotShortenedByATouch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		start := time.Now()
		q.add("a", 0)
		q.next(t.Context())
		q.add("a", 0)
		q.failed("a", time.Second)
		_, tries, _ := q.next(t.Context())
		if tries != 1 || time.Since(start) != time.Second {
			t.Fatalf("tries %d after %v", tries, time.Since(start))
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
