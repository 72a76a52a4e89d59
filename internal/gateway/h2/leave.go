package h2

import (
	"errors"
	"time"

	"golang.org/x/net/http2"
)

var errLeft = errors.New("the connection was given up in order")

// leavingPing tells that the peer has seen the announcement.
var leavingPing = [8]byte{'l', 'e', 'a', 'v', 'i', 'n', 'g', '.'}

// leaveAfter is how long the peer may take to see it.
const leaveAfter = time.Second

// leaving is how far a connection is in giving itself up (RFC 9113 §6.8).
type leaving uint8

const (
	staying   leaving = iota
	announced         // a GOAWAY that refuses nothing is on its way
	settled           // the last stream is known
)

// Shutdown has the peer open no more streams. The connection ends with the last one
// that there is.
func (c *Conn) Shutdown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.role.shutdown()
}

func (c *Conn) announce() {
	if c.leaving != staying || c.ended != nil {
		return
	}
	c.leaving, c.leavingAt = announced, c.now()
	_ = c.out.framer.WriteGoAway(maxWindow, http2.ErrCodeNo, nil)
	c.own(c.out.framer.WritePing(false, leavingPing))
}

// leave says which stream was the last.
func (c *Conn) leave() {
	if c.leaving == announced {
		c.leaving = settled
		c.own(c.out.framer.WriteGoAway(c.role.taken(), http2.ErrCodeNo, nil))
		c.leaveIfIdle()
	}
}

func (c *Conn) leaveIfIdle() {
	if c.leaving == settled && len(c.streams) == 0 && c.ended == nil {
		c.flushSoon()
		c.stop(errLeft)
		c.transport.Stop()
	}
}

// Streams is how many are in use.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams)
}

// Check ends what has taken too long: a section of fields that is not whole after
// head, a connection without streams or a stream that the peer takes nothing of
// after idle. 0 is no limit.
func (c *Conn) Check(head, idle time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return
	}
	now := c.now()
	over := func(since time.Time, limit time.Duration) bool { return limit > 0 && now.Sub(since) > limit }
	for _, s := range c.streams {
		s.check(now, idle)
	}
	for c.rests.due(now) {
		c.refuse(c.rests.next())
	}
	switch {
	case (c.headTime || !c.greeted) && over(c.waits, head):
		c.giveUp(http2.ErrCodeEnhanceYourCalm, http2.ConnectionError(http2.ErrCodeEnhanceYourCalm))
	case len(c.streams) == 0 && over(c.waits, idle):
		c.announce()
	}
	if over(c.leavingAt, leaveAfter) {
		c.leave()
	}
}

// giveUp ends the connection at once.
func (c *Conn) giveUp(code http2.ErrCode, why error) {
	c.forgetUnsent()
	_ = c.out.framer.WriteGoAway(c.role.taken(), code, nil)
	c.flushSoon()
	c.stop(why)
	c.transport.Stop()
}

func (s *Stream) check(now time.Time, idle time.Duration) {
	if !s.readBy.IsZero() && !now.Before(s.readBy) {
		s.wake.Broadcast()
	}
	if idle > 0 && !s.stalled.IsZero() && now.Sub(s.stalled) > idle && s.err == nil {
		s.conn.fail(s.id, http2.ErrCodeCancel)
	}
}

// goAway takes the peer's word that it will take no more streams.
func (c *Conn) goAway(f *http2.GoAwayFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.role.goAway(f)
}
