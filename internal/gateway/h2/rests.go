package h2

import (
	"slices"
	"time"

	"golang.org/x/net/http2"
)

const (
	// refuseAfter is how long a peer whose message was answered before its end has to
	// see that and to stop by itself: some take a reset, even one without an error,
	// for the loss of the answer that came just before it.
	refuseAfter = 500 * time.Millisecond
	maxRests    = 100
)

// rests are the streams of which this end has said all and wants to hear no more.
// What comes is ignored; the windows that would let more come stay closed.
type rests []rest

type rest struct {
	id uint32
	at time.Time // when it is refused
}

// due says whether the first one's time has come.
func (r rests) due(now time.Time) bool { return len(r) > 0 && !now.Before(r[0].at) }

func (r *rests) next() uint32 {
	id := (*r)[0].id
	*r = slices.Delete(*r, 0, 1)
	return id
}

// drop forgets one that has ended.
func (r *rests) drop(id uint32) {
	*r = slices.DeleteFunc(*r, func(x rest) bool { return x.id == id })
}

// refuseRest has the peer told, in a while, that the rest is not wanted.
func (c *Conn) refuseRest(id uint32) {
	if len(c.rests) == maxRests {
		c.refuse(c.rests.next())
	}
	c.rests = append(c.rests, rest{id, c.now().Add(refuseAfter)})
}

func (c *Conn) refuse(id uint32) {
	if c.ended == nil {
		c.own(c.out.framer.WriteRSTStream(id, http2.ErrCodeNo))
	}
}
