package proxy

import (
	"net"
	"sync"
	"time"
)

// IdleConn is a client's connection that waits for a request, of which nothing has
// been read.
type IdleConn struct {
	TCP *net.TCPConn
	// First: it has carried no request yet. Age is for how long it has waited.
	First bool
	Age   time.Duration
}

// heir takes idle connections over to another process.
type heir struct {
	give func([]IdleConn) error
	come chan struct{} // holds one signal: list has grown

	mu   sync.Mutex
	list []*conn // to be given
	gone bool    // it takes no more
}

// maxGive bounds the descriptors that are sent at once.
const maxGive = 100

// Leave is Finish for a front whose socket another process accepts on now: what
// waits for a request is given to it, at once or with its next answer. An error of
// give says that it has taken none of those, nor will it of others. What cannot be
// given ends with its next answer, or for having waited too long; a request has the
// drain time-out, from now or from its begin; and all ends after that or the idle
// time-out, whichever is longer. soon, when it is closed, ends all waiting for requests.
func (f *Front) Leave(give func([]IdleConn) error, soon <-chan struct{}) {
	h := &heir{give: give, come: make(chan struct{}, 1)}
	f.leftAt.Store(int64(f.now()))
	f.heir.Store(h)
	f.retiring.Store(true)
	f.serving.Go(func() { f.bequeath(h) })
	for _, c := range f.connections(nil) {
		c.invite()
		c.retire()
	}
	f.outlast(soon)
	f.end()
}

// outlast waits until the last connection has ended, but not longer than it may take.
func (f *Front) outlast(soon <-chan struct{}) {
	c := f.config.Load()
	over := time.NewTimer(max(c.DrainTimeout, time.Duration(c.Limits.IdleTimeout)))
	defer over.Stop()
	step := time.NewTicker(drainStep)
	defer step.Stop()
	for waits := true; f.open() > 0 && (waits || f.busy()); {
		select {
		case <-over.C:
			f.cut(false)
			f.partWith()
			return
		case <-soon:
			soon, waits = nil, false
		case <-step.C:
		}
	}
}

// drained says whether a request that began then has had its whole time in a front
// that leaves.
func (f *Front) drained(began, now time.Duration) bool {
	left := time.Duration(f.leftAt.Load())
	return left > 0 && now-max(began, left) >= f.config.Load().DrainTimeout
}

// bequeath gives away what is listed, until the front has finished.
func (f *Front) bequeath(h *heir) {
	for {
		select {
		case <-h.come:
		case <-f.living.Done():
			f.keep(h.end())
			return
		}
		for batch := h.next(); len(batch) > 0; batch = h.next() {
			if err := h.give(f.idle(batch)); err != nil {
				f.logger.Warn("Idle connections cannot be given to the successor", "error", err)
				f.keep(append(batch, h.end()...))
				return
			}
			for _, c := range batch {
				c.given()
			}
		}
	}
}

func (f *Front) idle(batch []*conn) []IdleConn {
	list := make([]IdleConn, len(batch))
	for i, c := range batch {
		c.mu.Lock()
		list[i] = IdleConn{TCP: c.in.TCP, First: c.phase == forFirst, Age: f.now() - c.since}
		c.mu.Unlock()
	}
	return list
}

// keep serves on what nobody took.
func (f *Front) keep(list []*conn) {
	f.heir.Store(nil)
	for _, c := range list {
		f.serving.Go(c.serve)
	}
}

// next takes some that are to be given.
func (h *heir) next() (batch []*conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := min(len(h.list), maxGive)
	batch, h.list = h.list[:n:n], h.list[n:]
	return batch
}

// end lists nothing any more, and returns what is listed.
func (h *heir) end() (rest []*conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone, rest, h.list = true, h.list, nil
	return rest
}

func (h *heir) add(c *conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.gone {
		return false
	}
	h.list = append(h.list, c)
	select {
	case h.come <- struct{}{}:
	default:
	}
	return true
}

// ends says whether the connection carries nothing after the answer that is begun.
func (c *conn) ends() bool { return c.front.retiring.Load() && c.front.heir.Load() == nil }

// invite has a connection that waits for a request given away by its goroutine.
func (c *conn) invite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.expired || c.closed || c.phase != forFirst && c.phase != forRequest:
	case c.parking == parked:
		c.front.lot.Wake(&c.in)
	default:
		c.parking = toBeGiven
		_ = c.in.TCP.SetReadDeadline(time.Unix(1, 0))
	}
}

// handOver leaves the connection to who succeeds this process, if somebody does and
// nothing of a request has been read.
func (c *conn) handOver() bool {
	h := c.front.heir.Load()
	if h == nil || len(c.in.Buffered()) > 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.expired || c.closed {
		return false
	}
	c.stay()
	return h.add(c)
}

// given forgets a connection that another process has.
func (c *conn) given() {
	if c.front.lot != nil {
		c.front.lot.Forget(&c.in)
	}
	c.close()
}

// Adopt goes on with a connection that another process accepted.
func (f *Front) Adopt(i IdleConn) {
	if i.TCP.RemoteAddr() == nil { // its client has reset it on the way
		_ = i.TCP.Close()
		return
	}
	peer := peerOf(i.TCP)
	c := &conn{front: f, peer: peer, since: f.now() - i.Age, leave: f.gate.Admit(peer)}
	if err := c.in.Init(i.TCP, heads); err != nil {
		c.leave()
		_ = i.TCP.Close()
		return
	}
	if !i.First {
		c.phase = forRequest
		if f.lot != nil {
			c.parking = toBeParked
		}
	}
	f.enter(c)
	if c.park() != parked {
		f.serving.Go(c.serve)
	}
}
