package proxy

import (
	"sync"
	"time"
)

const (
	// window is how long what was sent again is remembered.
	window = 10 // seconds
	// Of the requests of a window, so many may be sent again: a backend that breaks
	// under its load must not get more of it.
	extraShare = 5 // one in so many
	extraLeast = 10
)

// repeats bounds what is sent again. The zero value has all of it.
type repeats struct {
	mu      sync.Mutex
	seconds [window]spent // by the time modulo window
	last    int64         // the second of the latest
}

// spent is what there was in a second.
type spent struct {
	before uint64 // requests until it began
	extra  int
}

// note takes in how many requests there have been until now, all in all.
func (b *repeats) note(now time.Duration, requests uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now, requests)
}

func (b *repeats) advance(now time.Duration, requests uint64) {
	second := int64(now / time.Second)
	for s := max(b.last+1, second-window+1); s <= second; s++ {
		b.seconds[s%window] = spent{before: requests}
	}
	b.last = max(b.last, second)
}

// take says whether one more request may be sent again, and counts it if so.
func (b *repeats) take(now time.Duration, requests uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(now, requests)
	extra := 0
	for i := range b.seconds {
		extra += b.seconds[i].extra
	}
	oldest := b.seconds[(b.last+1)%window]
	if extra >= max(extraLeast, int(requests-oldest.before)/extraShare) {
		return false
	}
	b.seconds[b.last%window].extra++
	return true
}
