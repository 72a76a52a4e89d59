package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/internal/gateway/tally"
	"github.com/droverhq/drover/internal/gateway/upstream"
	"github.com/droverhq/drover/internal/resource"
)

var (
	// ErrNone is the error of a claim that waited its whole time: no member was in service.
	ErrNone = errors.New("no instance is in service")
	// ErrFull is the error of a claim that could not even wait.
	ErrFull = errors.New("no instance is in service and too many requests wait already")
	// ErrExhausted is the error of a claim when all members in service were tried.
	ErrExhausted = errors.New("every instance in service was tried")
	// ErrClosed is the error of a claim in a pool that no balancer uses any more.
	ErrClosed = errors.New("the backend is no longer used")
)

// Pool is the instances of one backend as one balancer sees them.
type Pool struct {
	// Queue may be shared by all pools of a balancer.
	queue   *Queue
	drained func()

	mu      sync.Mutex
	groups  groups
	holding int           // requests in flight over all members, removed ones too
	ready   chan struct{} // closed when a member can be picked; nil while nobody waits
	closed  bool
	drain   time.Duration
	known   map[[15]byte]*Member // those that have a key, by its member's part
}

// Queue bounds the requests that wait for a member.
type Queue struct {
	max     atomic.Int64
	waiting atomic.Int64
}

// SetMax bounds how many may wait; 0: no bound.
func (q *Queue) SetMax(n int) { q.max.Store(int64(n)) }

// Waiting is how many wait now.
func (q *Queue) Waiting() int { return int(q.waiting.Load()) }

func (q *Queue) enter() bool {
	n, limit := q.waiting.Add(1), q.max.Load()
	if limit > 0 && n > limit {
		q.waiting.Add(-1)
		return false
	}
	return true
}

func (q *Queue) leave() { q.waiting.Add(-1) }

// New makes a pool without members. drained, which may be nil, is called when a
// drain has ended, with the pool's lock held.
func New(q *Queue, drainTimeout time.Duration, drained func()) *Pool {
	if drained == nil {
		drained = func() {}
	}
	return &Pool{queue: q, drain: drainTimeout, drained: drained, groups: newGroups(nil), known: map[[15]byte]*Member{}}
}

// Member is one process in a pool. All but the exported fields belong to its pool.
type Member struct {
	Name    string
	Version string
	Colour  resource.Colour
	Backend *upstream.Backend
	// Key is what clients know it by; the zero Key: they do not.
	Key Key
	// Counters are those of the version; nil: none are kept.
	Counters *tally.Counters
	// Recover, which may be nil, is to see to it that a refused member is probed soon.
	Recover func()

	admission resource.Admission
	healthy   bool
	refused   bool
	listed    bool // is in its group's levels
	group     *group
	inFlight  int
	claims    *Claim // list of those in flight
	drain     *drain

	prev, next *Member
}

// Holder is whose request a claim belongs to. Interrupt makes the request fail
// soon; it is called with the pool's lock held and must return at once.
type Holder interface{ Interrupt() }

// Claim is one request's hold on a member, from Pool.Claim to Pool.Release.
type Claim struct {
	Member *Member

	holder     Holder
	cut        Cut
	prev, next *Claim
}

// Cut says why a claim was interrupted.
type Cut int

const (
	NotCut Cut = iota
	// CutDrain: the drain's time-out came.
	CutDrain
	// CutForced: the instance was taken away without a drain.
	CutForced
)

// TryClaim is Claim for those who do not wait: it is false when they would have to.
func (p *Pool) TryClaim(c *Claim, holder Holder, tried []*Member) (done bool, err error) {
	wait, err := p.claim(c, holder, tried)
	return wait == nil, err
}

// Claim picks a member for holder's request and counts it in. It waits until
// deadline when none can be picked. Members in tried are not picked again.
func (p *Pool) Claim(ctx context.Context, c *Claim, holder Holder, deadline time.Time, tried []*Member) error {
	wait, err := p.claim(c, holder, tried)
	if wait == nil {
		return err
	}
	if !p.queue.enter() {
		return ErrFull
	}
	defer p.queue.leave()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for {
		select {
		case <-wait:
		case <-timer.C:
			return ErrNone
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if wait, err = p.claim(c, holder, tried); wait == nil {
			return err
		}
	}
}

func (p *Pool) claim(c *Claim, holder Holder, tried []*Member) (wait <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	m := p.groups.pick(tried)
	switch {
	case m != nil:
		p.give(m, c, holder)
		return nil, nil
	case p.groups.size() > 0 || len(tried) > 0:
		// Who was sent a request once waits for nobody: it may be the request that ends them.
		return nil, ErrExhausted
	}
	if p.ready == nil {
		p.ready = make(chan struct{})
	}
	return p.ready, nil
}

func (p *Pool) give(m *Member, c *Claim, holder Holder) {
	*c = Claim{Member: m, holder: holder}
	m.link(c)
	p.count(m, +1)
}

// Release ends a claim. died says that the member's process ended meanwhile.
func (p *Pool) Release(c *Claim, died bool) Cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := c.Member
	m.unlink(c)
	p.count(m, -1)
	if d := m.drain; d != nil && d.ended == "" {
		d.dead = d.dead || died
		if m.inFlight == 0 {
			p.finish(d, idleOrDead(d.dead))
		}
	}
	return c.cut
}

// WasCut says whether and why a claim was interrupted.
func (p *Pool) WasCut(c *Claim) Cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.cut
}

// count changes how many requests m holds and keeps it in its place.
func (p *Pool) count(m *Member, by int) {
	p.holding += by
	if !m.listed {
		m.inFlight += by
		return
	}
	m.group.levels.remove(m)
	m.inFlight += by
	m.group.levels.add(m)
}

// place puts m among those that can be picked, or takes it out.
func (p *Pool) place(m *Member) {
	can := m.admission == resource.AdmissionInService && m.healthy && !m.refused
	switch {
	case can && !m.listed:
		p.list(m)
		p.wake()
	case !can && m.listed:
		m.group.levels.remove(m)
	}
}

func (p *Pool) wake() {
	if p.ready != nil {
		close(p.ready)
		p.ready = nil
	}
}

// Close refuses claims from now on. Those in flight go on, and their drains too.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.wake()
}

// Busy says whether any request is in flight.
func (p *Pool) Busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holding > 0
}

func (m *Member) link(c *Claim) {
	if c.next = m.claims; c.next != nil {
		c.next.prev = c
	}
	m.claims = c
}

func (m *Member) unlink(c *Claim) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		m.claims = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
}
