package reconcile

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// touchedWait is how long after a failure a touched key waits at most.
const touchedWait = time.Second

// queue hands out keys when they are due, a key to one worker at a time.
type queue struct {
	wake chan struct{} // buffered: says that something may be due

	mu   sync.Mutex
	keys map[string]*entry
	due  byDue // the entries that wait, soonest first
}

type entry struct {
	key     string
	due     time.Time
	index   int // in the heap; -1: it does not wait
	running bool
	again   bool // touched while running
	tries   int  // failures in a row
	// touchable is when a touch may bring it: at once, but for a key that failed.
	touchable time.Time
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), keys: map[string]*entry{}}
}

// add touches a key: it is due now or, after a failure, a moment later.
func (q *queue) add(key string) {
	q.mu.Lock()
	e := q.keys[key]
	if e == nil {
		e = &entry{key: key, index: -1}
		q.keys[key] = e
	}
	if e.running {
		e.again = true
	} else {
		q.touch(e)
	}
	q.mu.Unlock()
	q.signal()
}

func (q *queue) touch(e *entry) {
	e.again = false
	due := time.Now()
	if due.Before(e.touchable) {
		due = e.touchable
	}
	q.schedule(e, due)
}

func (q *queue) schedule(e *entry, due time.Time) {
	switch {
	case e.index < 0:
		e.due = due
		heap.Push(&q.due, e)
	case due.Before(e.due):
		e.due = due
		heap.Fix(&q.due, e.index)
	}
}

// done ends a successful run; again > 0 asks for the next one.
func (q *queue) done(key string, again time.Duration) {
	q.mu.Lock()
	e := q.keys[key]
	e.running, e.tries, e.touchable = false, 0, time.Time{}
	switch {
	case e.again:
		q.touch(e)
	case again > 0:
		q.schedule(e, time.Now().Add(again))
	default:
		delete(q.keys, key)
	}
	q.mu.Unlock()
	q.signal()
}

// failed ends a run that failed. The touch that came meanwhile is not lost: it may
// be what mends it. It only does not come at once, as the run itself may have been
// what touched it, by what it wrote before it failed.
func (q *queue) failed(key string, wait time.Duration) {
	now := time.Now()
	q.mu.Lock()
	e := q.keys[key]
	e.running = false
	e.tries++
	e.touchable = now.Add(min(wait, touchedWait))
	q.schedule(e, now.Add(wait))
	if e.again {
		q.touch(e)
	}
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next waits for a key that is due. It returns false when ctx ends.
func (q *queue) next(ctx context.Context) (key string, tries int, ok bool) {
	for {
		key, tries, wait := q.take(time.Now())
		if key != "" {
			return key, tries, true
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return "", 0, false
		case <-q.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take picks the key that has been due longest, else says how long until the next is.
func (q *queue) take(now time.Time) (string, int, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.due) == 0 {
		return "", 0, time.Hour
	}
	if wait := q.due[0].due.Sub(now); wait > 0 {
		return "", 0, wait
	}
	e := heap.Pop(&q.due).(*entry)
	e.running = true
	return e.key, e.tries, 0
}

// byDue is a heap of waiting entries.
type byDue []*entry

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *byDue) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *byDue) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}
