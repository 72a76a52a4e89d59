package proxy

import (
	"context"
	"time"

	"github.com/droverhq/drover/internal/gateway/socket"
)

const (
	// sweepEvery is how late a time-out may be.
	sweepEvery = 100 * time.Millisecond
	// lookAfter is how long a request runs before anybody sees whether its client is still there.
	lookAfter = 100 * time.Millisecond
	// lookAtLeast bounds how late the leaving of a client is seen.
	lookAtLeast = 2 * time.Second
)

// sweep enforces what has a limit in time, for all connections: so no request
// needs a timer of its own. It ends with the front's last connection.
func (f *Front) sweep() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	var all []*conn
	for {
		select {
		case <-ticker.C:
		case <-f.living.Done():
			return
		}
		if all = f.connections(all[:0]); len(all) == 0 && f.rests() {
			return
		}
		limits := f.config.Load().Limits
		head, idle := time.Duration(limits.HeaderTimeout), time.Duration(limits.IdleTimeout)
		now := f.now()
		f.extra.note(now, f.counters.Requests())
		for _, c := range all {
			c.check(now, head, idle)
		}
		clear(all)
	}
}

// rests notes that nobody sweeps any more, if there is still nothing to.
func (f *Front) rests() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweeping = f.first != nil
	return !f.sweeping
}

func (c *conn) check(now, head, idle time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch age := now - c.since; c.phase {
	case forFirst, forHead:
		if head > 0 && age > head {
			c.expire()
		}
	case forRequest:
		switch {
		case idle > 0 && age > idle:
			c.expire()
		case age > parkAfter && c.parking == notParked && c.front.lot != nil:
			c.ask()
		}
	case forStreams:
		c.many.check(now, head, idle)
	case forAnswer, forStream:
		if c.limit > 0 && age > c.limit {
			c.x.end(context.DeadlineExceeded)
		}
		if c.front.drained(c.since, now) {
			c.x.end(errCut)
		}
		if c.phase == forAnswer && now >= c.look {
			c.look = now + min(age/8, lookAtLeast)
			if c.in.Peek() == socket.Gone {
				c.x.end(errClientGone)
			}
		}
	}
}
