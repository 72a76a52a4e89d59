package proxy

import "time"

// parkAfter is how long a connection waits for its next request before its
// goroutine is taken from it. The stack of one is most of what it holds.
const parkAfter = time.Second

// parking is whether a connection waits without a goroutine.
type parking uint8

const (
	notParked  parking = iota
	toBeParked         // its goroutine has been interrupted
	toBeGiven          // the same, so that it gives the connection to the successor
	parked
)

// ask has the connection parked. Its lock is held.
func (c *conn) ask() {
	c.parking = toBeParked
	_ = c.in.TCP.SetReadDeadline(time.Unix(1, 0))
}

// stay takes back what ask did, for a request has come. The lock is held.
func (c *conn) stay() {
	if (c.parking == toBeParked || c.parking == toBeGiven) && !c.expired {
		_ = c.in.TCP.SetReadDeadline(time.Time{})
	}
	c.parking = notParked
}

// park leaves the connection to the front's lot, if that was asked for. Another
// goroutine may have it when it returns; toBeParked: it stays with this one.
func (c *conn) park() parking {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expired || c.closed {
		return notParked
	}
	switch {
	case c.parking == toBeGiven && (c.phase == forFirst || c.phase == forRequest):
		c.stay()
		return toBeParked // handOver comes next
	case c.parking != toBeParked || c.phase != forRequest:
		return notParked
	}
	_ = c.in.TCP.SetReadDeadline(time.Time{})
	c.parking = parked
	if err := c.front.lot.Park(&c.in, c.resume); err != nil {
		return toBeParked
	}
	return parked
}

func (c *conn) resume() { c.front.serving.Go(c.serve) }
